"""A campaign's page during its run, and the composer's preview: the server's cost of a refresh."""

import statistics
import time
from collections.abc import Callable
from typing import Any, Final

from django.core.cache import caches
from django.db import connection
from django.test import Client
from django.utils.timezone import now

from tools.bench.figures import figure, frozen_run  # isort: skip - it sets Django up

from accounts.models import User
from campaigns.counters import count, count_minutes, count_reasons
from campaigns.models import Message
from campaigns.states import MessageStatus
from project.queue.broker import canary

_PARTS: Final = ("progress", "rows", "chart", "why")
_RETRYING: Final = 10_000
# Half was attempted: every 50th of these failed, and some wait for a retry.
_HALF_DONE: Final = (
    "UPDATE campaigns_message SET attempts = 1, changed_at = %s, "
    "status = CASE WHEN id >= %s THEN 'pending' WHEN id %% 50 = 0 THEN 'failed' ELSE 'sent' END, "
    "reason = CASE WHEN id >= %s THEN 'http_503' WHEN id %% 50 = 0 THEN 'http_400' ELSE '' END "
    "WHERE run_id = %s AND id < %s"
)


def refreshes(number: int, times: int = 20) -> None:
    """Measure each part of a campaign's page, and previews."""
    run, _seconds = frozen_run(number)
    first = Message.objects.filter(run=run).order_by("pk").values_list("pk", flat=True)[0]
    middle, again = first + number // 2, first + max(0, number // 2 - _RETRYING)
    with connection.cursor() as cursor:
        cursor.execute(_HALF_DONE, [now(), again, again, run.pk, middle])
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")
    failed = Message.objects.filter(run=run, status=MessageStatus.FAILED).count()
    sent = Message.objects.filter(run=run, status=MessageStatus.SENT).count()
    moved = {"pending": -failed - sent, "sent": sent, "failed": failed, "attempts": middle - first}
    count({run.pk: moved}, reached={run.pk: middle})
    count_minutes({(run.pk, now()): {"sent": sent, "failed": failed}})
    count_reasons({(run.pk, "http_400"): failed, (run.pk, "http_503"): _RETRYING})
    canary("bench")
    client = Client(headers={"host": "localhost"})
    client.force_login(User.objects.get())
    address = f"/campaigns/{run.campaign_id}/"
    for part in _PARTS:
        headers = {"HX-Request": "true", "HX-Target": part}
        _report(f"refresh: {part}", lambda headers=headers: client.get(address, headers=headers), times)  # type: ignore[misc]
    written = {"text": "Здравствуйте, {first_name|друг}!", "start": "now", "repeat": "once", "tags_match": "any"}

    def preview() -> Any:
        return client.post("/campaigns/preview/", written, headers={"HX-Request": "true", "HX-Target": "preview"})

    def preview_of_another_audience() -> Any:
        caches["process"].clear()
        return preview()

    _report("preview: the text has changed", preview, times)
    _report("preview: the audience has changed", preview_of_another_audience, times)


def _report(name: str, call: Callable[[], Any], times: int) -> None:
    asked = 0

    def counted(execute: Any, *arguments: Any) -> Any:
        nonlocal asked
        asked += 1
        return execute(*arguments)

    with connection.execute_wrapper(counted):
        answer = call()
    assert answer.status_code == 200, answer
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        call()
        taken.append((time.perf_counter() - started) * 1000)
    figure(name, statistics.median(taken), "ms", p95=sorted(taken)[times * 95 // 100 - 1], queries=asked)
