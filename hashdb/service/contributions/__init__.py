"""Contributions, what one may do: contribute, amend, withdraw, expire, erase, list, import."""
