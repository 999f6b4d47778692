"""Accounts, values and rules: members, keys, users, sessions, budgets."""
