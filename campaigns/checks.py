"""System checks: settings that look fine one by one, and are wrong together."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from campaigns.sending.lease import SLICE_SECONDS
from campaigns.sending.sender import GRACE_SECONDS


@register()
def check_queue(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """django-q2 (1.11) counts `retry` from the moment a task is fetched, so it must outlast those fetched before it."""
    queue: dict[str, Any] = settings.Q_CLUSTER
    waiting = 1 + (queue["queue_limit"] + queue["bulk"]) / queue["workers"]
    least = queue["timeout"] * waiting + 30
    errors: list[CheckMessage] = []
    if queue["retry"] <= least:
        errors.append(
            Error(
                f"Q_CLUSTER: retry is {queue['retry']} s, and tasks may run twice below {least:.0f} s.",
                hint="Raise retry, or lower timeout, queue_limit or bulk.",
                id="campaigns.E001",
            )
        )
    if queue["timeout"] <= SLICE_SECONDS + GRACE_SECONDS:
        errors.append(
            Error(
                f"Q_CLUSTER: timeout is {queue['timeout']} s, and a sender's slice may take longer.",
                hint=f"It must exceed {SLICE_SECONDS + GRACE_SECONDS:.0f} s.",
                id="campaigns.E002",
            )
        )
    return errors
