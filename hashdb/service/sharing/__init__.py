"""Sharing, what one may do: feed, webhooks, deliveries, other systems."""
