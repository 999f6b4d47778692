"""Accounts, commands: members, keys, users, sessions, budgets."""
