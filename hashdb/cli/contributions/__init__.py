"""Contributions, commands: contribute, amend, withdraw, expire, erase, list, import."""
