"""Review, what one may do: opinions, cases, two-person proposals, incidents."""
