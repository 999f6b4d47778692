"""Review, SQL: opinions, cases, two-person proposals, incidents."""
