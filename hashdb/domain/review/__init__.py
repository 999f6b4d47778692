"""Review, values and rules: opinions, cases, two-person proposals, incidents."""
