"""Webhooks: events are posted to a user's own server, following Standard Webhooks."""
