"""Access to the JSON API: tokens, rate limits, idempotency keys."""
