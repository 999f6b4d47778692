"""The /v1 API, one file an area or a noun."""
