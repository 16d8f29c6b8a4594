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
from django.db.models import Max
from django.utils.timezone import now

from accounts.models import User
from campaigns import services
from campaigns.models import Campaign, Message, Run
from campaigns.sandbox.server import running_sandbox
from directory.audiences.audience import Audience
from directory.models import Contact, Tag
from tools.bench import baselines, sinks
from tools.bench.figures import figure, frozen_run, send
from tools.distance import at_distance

RATES, SECONDS = (10, 50, 500), 30
MANY, EACH_RATE, DISTANCES = (50, 200), 2, (0, 0.002, 0.008)
WARM_UP_SECONDS = 5
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


def many() -> None:
    """Measure many campaigns with a low rate each, by one normal worker at several distances from its database."""
    if not settings.DATABASES["default"]["ENGINE"].endswith("postgresql"):
        return
    for campaigns in MANY:
        for distance in DISTANCES:
            _many(campaigns, distance)


def _many(campaigns: int, distance: float) -> None:
    Campaign.objects.update(status="cancelled")
    owner, number = User.objects.get(), EACH_RATE * (SECONDS + 30 * WARM_UP_SECONDS)
    contacts = list(Contact.objects.order_by("pk")[: campaigns * number])
    Contact.objects.filter(pk__in=[contact.pk for contact in contacts]).update(is_active=True)
    log, due = io.StringIO(), now() + timedelta(seconds=WARM_UP_SECONDS)
    for index in range(campaigns):
        tag, _ = Tag.objects.get_or_create(name=f"many {index}")
        tag.contacts.set(contacts[index * number : (index + 1) * number])
        campaign = _campaign(owner, tag.name, starts_at=due)
        Campaign.objects.filter(pk=campaign.pk).update(rate_limit=EACH_RATE)
    planned = {campaign.pk for campaign in Campaign.objects.filter(status="scheduled")}
    with (
        running_sandbox(log=log) as sandbox,
        at_distance(os.environ["DATABASE_URL"], distance) as database,
        _worker(sandbox.url, DATABASE_URL=database.url),
    ):
        sending = Run.objects.filter(campaign__in=planned, sent__gt=0)
        _wait(lambda: sending.count() == campaigns, 300)
        time.sleep(WARM_UP_SECONDS)
        begin, before = time.time(), database.round_trips()
        time.sleep(SECONDS)
        round_trips = (database.round_trips() - before) / SECONDS
    times = [json.loads(line)["at"] for line in log.getvalue().splitlines()]
    measured = sum(begin <= at < begin + SECONDS for at in times) / SECONDS
    figure(
        f"{campaigns} campaigns of {EACH_RATE}/s, {distance * 1000:.0f} ms to the database",
        measured,
        "messages/s",
        of_configured=measured / (campaigns * EACH_RATE),
        round_trips_a_second=round_trips,
        seconds_to_start=begin - due.timestamp() - WARM_UP_SECONDS,
    )


def whole(number: int) -> None:
    """Measure the whole job by one normal worker: from the call that creates a campaign to its last outcome."""
    for delay, concurrency in ((0.0, settings.GATEWAY_CONCURRENCY), (0.05, 1000)):
        with sinks.slow(delay) if delay else sinks.fast() as url, _worker(url, GATEWAY_CONCURRENCY=str(concurrency)):
            _whole(1000)
            bare = [number / baselines.bare_curl(url, number, concurrency)]
            rate = _whole(number)
            bare.append(number / baselines.bare_curl(url, number, concurrency))
        figure(
            f"whole job, gateway that takes {delay * 1000:.0f} ms",
            rate,
            "messages/s",
            bare_curl=sum(bare) / 2,
            of_bare_curl=rate / (sum(bare) / 2),
        )


def _whole(number: int) -> float:
    """Messages per second of a campaign of that size, until its last outcome is written."""
    contacts = Contact.objects.order_by("pk")
    contacts.filter(is_active=False).update(is_active=True)
    if number < contacts.count():
        contacts.filter(pk__gte=contacts[number].pk).update(is_active=False)
    began = now()
    ends_at = began + timedelta(hours=1)
    campaign = services.campaign_create(
        owner=User.objects.get(), name="Whole", text=baselines.TEXT, audience=Audience(), ends_at=ends_at
    )
    _wait(lambda: Campaign.objects.filter(pk=campaign.pk, status="finished").exists(), 600)
    run = campaign.runs.get()
    assert run.sent == run.total == number, f"{run.sent} of {run.total} sent"
    last = run.messages.aggregate(last=Max("changed_at"))["last"]
    return number / float((last - began).total_seconds())


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
def _worker(url: str, **environment: str) -> Iterator[None]:
    """Run `manage.py worker`."""
    variables = {**os.environ, "GATEWAY_URL": url, **environment}
    process = subprocess.Popen([sys.executable, "manage.py", "worker"], env=variables)
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
