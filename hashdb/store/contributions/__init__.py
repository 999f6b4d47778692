"""Contributions, SQL: contribute, amend, withdraw, expire, erase, list, import."""
