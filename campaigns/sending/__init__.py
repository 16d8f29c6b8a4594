"""Sends messages to the gateway: lease, render, send, record; with rate limit, circuit breaker and rescuer."""
