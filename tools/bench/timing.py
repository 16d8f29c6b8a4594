"""Timing: configured rates, punctual starts, and a small campaign beside a large one."""

import io
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils.timezone import now

from accounts.models import User
from campaigns import services
from campaigns.models import Campaign, Message
from campaigns.sandbox.server import running_sandbox
from directory.audiences.audience import Audience
from directory.models import Contact, Tag
from tools.bench import sinks
from tools.bench.figures import figure, frozen_run, send

RATES, SECONDS = (10, 50, 500), 30
STARTS, SMALL = 100, 100


def rates() -> None:
    """Measure the arrivals in half a minute at each rate, with two workers that share it."""
    for rate in RATES:
        log = io.StringIO()
        with running_sandbox(log=log) as sandbox:
            run, _ = frozen_run(rate * (SECONDS + 1))
            Campaign.objects.filter(pk=run.campaign_id).update(rate_limit=rate)
            send(run, sandbox.url, workers=2)
        times = sorted(json.loads(line)["at"] for line in log.getvalue().splitlines())
        within = Counter(int(at - times[0]) for at in times if at < times[0] + SECONDS)
        measured = within.total() / SECONDS
        figure(
            f"rate of {rate} messages a second",
            measured,
            "messages/s",
            of_configured=measured / rate,
            worst_second=max(within.values()) / rate,
        )


def starts() -> None:
    """Measure a hundred campaigns that are due at the same second, with a normal worker."""
    Campaign.objects.update(status="cancelled")
    owner, due = User.objects.get(), now().replace(microsecond=0) + timedelta(seconds=15)
    for number, contact in enumerate(Contact.objects.order_by("pk")[:STARTS]):
        Contact.objects.filter(pk=contact.pk).update(is_active=True)
        contact.tags.add(Tag.objects.create(name=f"start {number}"))
        _campaign(owner, f"start {number}", starts_at=due)
    log = io.StringIO()
    with running_sandbox(log=log) as sandbox, _worker(sandbox.url):
        _wait(lambda: sandbox.ledger.accepted == STARTS, 60)
    entries = [json.loads(line) for line in log.getvalue().splitlines()]
    assert len({entry["id"] for entry in entries}) == len(entries) == STARTS
    late = sorted(entry["at"] - due.timestamp() for entry in entries)
    assert late[0] >= 0
    figure(f"{STARTS} campaigns due at once, p99", late[STARTS * 99 // 100 - 1], "s late", median=late[STARTS // 2])


def beside(large: int) -> None:
    """Measure a small campaign that begins while a large one runs at full speed."""
    run, _ = frozen_run(large)
    owner = User.objects.get()
    tag = Tag.objects.create(name="small")
    tag.contacts.set(Contact.objects.order_by("pk")[:SMALL])
    with sinks.fast() as url, _worker(url):
        _wait(lambda: Message.objects.filter(run=run, status="sent").exists(), 60)
        small, began = _campaign(owner, "small"), time.perf_counter()
        _wait(lambda: Campaign.objects.filter(pk=small.pk, status="finished").exists(), 120)
        seconds = time.perf_counter() - began
        run.refresh_from_db()
        assert run.pending, "the large campaign was over too early"
    figure(f"campaign of {SMALL} beside one of {large}", seconds, "s", left_of_large=run.pending / large)


def _campaign(owner: User, tag: str, **fields: Any) -> Campaign:
    ends_at = now() + timedelta(hours=1)
    return services.campaign_create(
        owner=owner, name=tag, text=tag, audience=Audience(tags=(tag,)), ends_at=ends_at, **fields
    )


@contextmanager
def _worker(url: str) -> Iterator[None]:
    """Run `manage.py worker`."""
    process = subprocess.Popen([sys.executable, "manage.py", "worker"], env={**os.environ, "GATEWAY_URL": url})
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def _wait(condition: Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s ({settings.WORKERS} workers)"
        time.sleep(0.02)
