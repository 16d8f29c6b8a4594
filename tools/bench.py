"""`make bench`: one JSON line per figure; comparisons are ratios within one run, for machines differ.

It works on a test database of its own, on SQLite or on what DATABASE_URL names, and sends to a sink of its own.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from datetime import timedelta
from io import BytesIO
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

import pycurl  # noqa: E402
from django.conf import settings  # noqa: E402
from django.db import connection  # noqa: E402
from django.utils.timezone import now  # noqa: E402

from accounts.models import User  # noqa: E402
from campaigns import services  # noqa: E402
from campaigns.audience import freeze  # noqa: E402
from campaigns.gateways.probe import Probe  # noqa: E402
from campaigns.models import Campaign, Run  # noqa: E402
from campaigns.sending.sender import Slice  # noqa: E402
from campaigns.sending.transport import CurlTransport  # noqa: E402
from campaigns.statistics import campaign_statistics  # noqa: E402
from directory.models import Audience, Contact  # noqa: E402

TEXT = "Здравствуйте, {first_name|друг}! До четверга скидка 20 %."


def figure(name: str, value: float, unit: str, **more: float) -> None:
    """Print one line."""
    print(json.dumps({"figure": name, "value": round(value, 2), "unit": unit, **more}, ensure_ascii=False), flush=True)


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Wall and CPU seconds of `work` in this process."""
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    work()
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@contextmanager
def sink() -> Iterator[str]:
    """The sink's base URL."""
    process = subprocess.Popen([sys.executable, "-m", "tools.sink"], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
    finally:
        process.kill()
        process.wait()


def bare_loop(url: str, number: int) -> None:
    """The least that a CurlMulti loop can do: the yardstick for the engine."""
    body = json.dumps({"id": 1, "phone": 79991234567, "text": TEXT}, ensure_ascii=False).encode()
    multi, idle, left, ended = pycurl.CurlMulti(), [], number, 0
    multi.setopt(pycurl.M_MAXCONNECTS, settings.GATEWAY_CONCURRENCY)
    for _ in range(settings.GATEWAY_CONCURRENCY):
        handle = pycurl.Curl()
        handle.setopt(pycurl.POST, 1)
        handle.setopt(pycurl.HTTPHEADER, ["Content-Type: application/json", "Expect:"])
        idle.append(handle)
    while ended < number:
        while left and idle:
            handle = idle.pop()
            handle.setopt(pycurl.URL, f"{url}/send/{left}")
            handle.setopt(pycurl.POSTFIELDS, body)
            handle.setopt(pycurl.WRITEFUNCTION, BytesIO().write)
            multi.add_handle(handle)
            left -= 1
        multi.perform()
        queued = 1
        while queued:
            queued, good, bad = multi.info_read()
            for handle in [*good, *(entry[0] for entry in bad)]:
                multi.remove_handle(handle)
                idle.append(handle)
                ended += 1
        if not (left and idle):
            multi.select(0.05)


def make_run(number: int) -> Run:
    """A running campaign for that many contacts, not frozen yet."""
    owner = User.objects.create_user("bench@example.org")
    phones = range(79000000000, 79000000000 + number)
    people = (Contact(phone=phone, operator_code="900", first_name="Анна", owner=owner) for phone in phones)
    Contact.objects.bulk_create(people, batch_size=2000)
    campaign = services.campaign_create(
        owner=owner, name="Bench", text=TEXT, audience=Audience(), ends_at=now() + timedelta(hours=1)
    )
    Campaign.objects.filter(pk=campaign.pk).update(status="running")
    campaign.refresh_from_db()
    return Run.objects.create(campaign=campaign, occurrence=campaign.starts_at)


def measure(number: int) -> None:
    """All figures."""
    run = make_run(number)
    wall, _ = timed(lambda: freeze(run))
    figure("freeze", number / wall, "messages/s")
    with sink() as url:
        adapter = Probe(url, "token")
        bare, bare_cpu = timed(lambda: bare_loop(url, number))
        figure("bare CurlMulti loop", number / bare, "messages/s", cpu_us=round(bare_cpu / number * 1e6, 1))
        transport = CurlTransport(adapter.headers, settings.GATEWAY_CONCURRENCY)
        wall, cpu = timed(lambda: Slice(adapter, transport, seconds=120).run())
        sent = Run.objects.get(pk=run.pk).sent
        more = {"cpu_us": round(cpu / sent * 1e6, 1), "of_bare_loop": round(sent / wall / (number / bare), 3)}
        figure("engine, one sender, everything recorded", sent / wall, "messages/s", **more)
    wall, _ = timed(lambda: campaign_statistics(run.campaign))
    figure("statistics of a campaign", wall * 1000, "ms", messages=number)
    figure("peak memory", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MB")


def main() -> None:
    """Measure on a database that is made for it and removed again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000 if connection.vendor == "postgresql" else 5_000)
    options = parser.parse_args()
    name = connection.settings_dict["NAME"]
    with redirect_stdout(sys.stderr):  # Django says there that the cache table exists
        connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        measure(options.messages)
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


if __name__ == "__main__":
    main()
