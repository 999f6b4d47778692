"""Sharing, SQL: webhooks, deliveries, and the lists of other services."""
