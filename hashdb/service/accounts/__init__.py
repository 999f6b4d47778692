"""Accounts, what one may do: members, keys, users, sessions, budgets."""
