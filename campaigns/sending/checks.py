"""System checks: settings that are valid on their own but conflict with each other."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from campaigns.sending.lease import SESSION_SECONDS
from campaigns.sending.session import GRACE_SECONDS


@register()
def check_queue(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """django-q2 (1.11) counts `retry` from the fetch of a task, so it must cover the tasks queued before it."""
    queue: dict[str, Any] = settings.Q_CLUSTER
    queued = 1 + (queue["queue_limit"] + queue["bulk"]) / queue["workers"]
    min_retry = queue["timeout"] * queued + 30
    errors: list[CheckMessage] = []
    if queue["retry"] <= min_retry:
        errors.append(
            Error(
                f"Q_CLUSTER: retry is {queue['retry']} s, and tasks may run twice below {min_retry:.0f} s.",
                hint="Raise retry, or lower timeout, queue_limit or bulk.",
                id="campaigns.E001",
            )
        )
    if queue["timeout"] <= SESSION_SECONDS + GRACE_SECONDS:
        errors.append(
            Error(
                f"Q_CLUSTER: timeout is {queue['timeout']} s, and a send session may take longer.",
                hint=f"It must exceed {SESSION_SECONDS + GRACE_SECONDS:.0f} s.",
                id="campaigns.E002",
            )
        )
    return errors
