"""Monitoring: a member's program that follows the log, the feed, the active set and the witnesses of a service."""
