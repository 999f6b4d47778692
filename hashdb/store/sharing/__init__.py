"""Sharing, SQL: feed, webhooks, deliveries, other systems."""
