"""The way of a message to the gateway: lease → render → send → record, with pacing, breaker and sweeper."""
