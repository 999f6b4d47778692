"""Sharing, values and rules: feed, webhooks, deliveries, other systems."""
