"""Webhooks: a user's own server is told what happens, by the Standard Webhooks scheme."""
