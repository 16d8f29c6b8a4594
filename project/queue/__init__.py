"""Background tasks: the broker for django-q2, slots, and the watchdog."""

from project.queue.broker import canary

__all__ = ["canary"]  # queues may contain it under this name
