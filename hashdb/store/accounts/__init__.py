"""Accounts, SQL: members, keys, users, sessions, budgets."""
