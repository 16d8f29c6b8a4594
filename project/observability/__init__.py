"""Observability: logs, request log, health, metrics."""
