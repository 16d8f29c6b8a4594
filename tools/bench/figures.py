"""Sending speed, in comparison with simpler programs."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.db.models import Max  # noqa: E402
from django.test import Client  # noqa: E402
from django.utils.timezone import now  # noqa: E402

from accounts.models import ApiToken, User  # noqa: E402
from campaigns import services  # noqa: E402
from campaigns.models import Campaign, Gateway, Run  # noqa: E402
from campaigns.planning.recipients import freeze  # noqa: E402
from directory.audiences.audience import Audience  # noqa: E402
from directory.models import Contact  # noqa: E402
from tools.bench import baselines, sinks  # noqa: E402

TASKS = 500
_DESCRIPTION = """
version = 1
label = "Bench"
idempotent = true
[request]
url = "{{url}}/provider"
auth = {{type = "bearer", token = "bench"}}
[request.json]
to = "{{phone_plus}}"
text = "{{text}}"
reference = "{{id}}"
status_url = "{{callback}}"
[answer]
body = "json"
{ids}
[[answer.rules]]
status = ["2xx"]
path = "message.id"
exists = true
outcome = "accepted"
"""


def figure(name: str, value: float, unit: str, **more: float) -> None:
    """Print one figure."""
    rounded = {key: round(number, 3) for key, number in more.items()}
    print(json.dumps({"figure": name, "value": round(value, 2), "unit": unit, **rounded}), flush=True)


def prepare(number: int) -> None:
    """Create the tables, an owner, and contacts."""
    call_command("migrate", verbosity=0)
    owner = User.objects.create_user("bench@example.org")
    first = Contact.objects.create(phone=79000000000, first_name="Анна", owner=owner)
    named = {"phone": "phone + n", "first_name": "first_name || n %% 500"}
    columns = [str(field.column) for field in Contact._meta.concrete_fields[1:] if not field.generated]
    table, values = Contact._meta.db_table, [named.get(column, column) for column in columns]
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < %s) "  # noqa: S608
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(values)} "
            f"FROM {table} CROSS JOIN numbers WHERE id = %s",
            [number - 1, first.pk],
        )
        cursor.execute("ANALYZE")


def make_run(number: int, gateway: Gateway | None = None) -> Run:
    """Create a running campaign for that many contacts; without `gateway`, through the settings' gateway."""
    contacts = Contact.objects.order_by("pk")
    contacts.update(is_active=True)
    if number < contacts.count():
        contacts.filter(pk__gte=contacts[number].pk).update(is_active=False)
    Campaign.objects.update(status="cancelled")
    campaign = services.campaign_create(
        owner=User.objects.get(),
        name="Bench",
        text=baselines.TEXT,
        audience=Audience(),
        ends_at=now() + timedelta(hours=1),
        gateway=gateway,
    )
    Campaign.objects.filter(pk=campaign.pk).update(status="running")
    campaign.refresh_from_db()
    return Run.objects.create(campaign=campaign, occurrence=campaign.starts_at)


def frozen_run(number: int, gateway: Gateway | None = None) -> tuple[Run, float]:
    """Create a run with its messages; returns it with the seconds for the messages."""
    run = make_run(number, gateway)
    started = time.perf_counter()
    freeze(run)
    seconds = time.perf_counter() - started
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE campaigns_message")
    return run, seconds


def send(run: Run, url: str, workers: int = 1, **environment: str) -> dict[str, float]:
    """Send a run with workers; return their total messages per second, and the resources of the first worker.

    Measured until the last outcome is written, like the loops without a database. After that, a send session waits a
    second for new messages, which does not count.
    """
    with tempfile.TemporaryFile() as log:
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tools.bench.sender"],
                env={**os.environ, "GATEWAY_URL": url, **environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
            for _ in range(workers)
        ]
        for process in processes:
            assert process.stdout
            process.stdout.readline()
        started = now()
        for process in processes:
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
        reports = [json.loads(process.communicate()[0]) for process in processes]
        log.seek(0)
        if "LOG_LEVEL" not in environment:
            sys.stderr.write(log.read().decode())
    run.refresh_from_db()
    assert run.sent == run.total, f"{run.sent} of {run.total} sent"
    wall = (run.messages.aggregate(last=Max("changed_at"))["last"] - started).total_seconds()
    cpu_us = reports[0]["cpu"] / (run.sent / workers) * 1e6
    return {"rate": run.sent / wall, "cpu_us": cpu_us, "memory_mb": reports[0]["memory_mb"]}


def throughput(number: int) -> None:
    """Measure one worker that records everything, bare sending loops, two workers, and one task per message."""
    concurrency = settings.GATEWAY_CONCURRENCY
    with sinks.fast() as url:
        bare = number / baselines.bare_curl(url, number, concurrency)
        figure("bare CurlMulti loop", bare, "messages/s")
        aiohttp = number / 4 / baselines.bare_aiohttp(url, number // 4, concurrency)
        figure("bare aiohttp loop", aiohttp, "messages/s")
        each = TASKS / baselines.task_each(url, TASKS)
        figure("one django-q2 task a message", each, "messages/s")
        run, seconds = frozen_run(number)
        figure("freeze", number / seconds, "messages/s")
        one = send(run, url)
        bare = (bare + number / baselines.bare_curl(url, number, concurrency)) / 2
        figure(
            "one worker",
            one["rate"],
            "messages/s",
            of_bare_curl=one["rate"] / bare,
            of_bare_aiohttp=one["rate"] / aiohttp,
            of_task_each=one["rate"] / each,
            cpu_us=one["cpu_us"],
            memory_mb=one["memory_mb"],
        )
        two = send(frozen_run(number)[0], url, workers=2)
        figure("two workers", two["rate"], "messages/s", of_one=two["rate"] / one["rate"])
        silent = send(frozen_run(number)[0], url, LOG_LEVEL="WARNING")
        logged = send(frozen_run(number)[0], url, LOG_LEVEL="INFO")
        figure(
            "one worker, every attempt in the log",
            logged["rate"],
            "messages/s",
            of_silent=logged["rate"] / silent["rate"],
        )


def providers(number: int) -> None:
    """Measure gateways with a description, with and without ids of the provider, in turn with probe."""
    with sinks.fast() as url:
        address = url.removesuffix("/v1")
        gateways: dict[str, Gateway | None] = {"probe": None}
        for name, ids in (("plain", ""), ("with-ids", 'ids = "message.id"')):
            row = Gateway(name=name, kind="http", url=address, definition=_DESCRIPTION.format(ids=ids))
            row.save()
            gateways[name] = row
        rates: dict[str, list[float]] = {name: [] for name in gateways}
        for _round in range(3):
            for name, gateway in gateways.items():
                run, _seconds = frozen_run(number, gateway)
                rates[name].append(send(run, url, BENCH_GATEWAY=name if gateway else "")["rate"])
        probe = statistics.median(rates.pop("probe"))
        figure("probe", probe, "messages/s")
        for name, measured in rates.items():
            rate = statistics.median(measured)
            figure(f"provider by description, {name}", rate, "messages/s", of_probe=rate / probe)


def slow_gateway(number: int) -> None:
    """Measure a slow gateway with 1 000 requests in flight."""
    for delay in (0.05, 0.2):
        with sinks.slow(delay) as url:
            sent = send(frozen_run(number)[0], url, GATEWAY_CONCURRENCY="1000")
            figure(
                f"gateway that takes {delay * 1000:.0f} ms",
                sent["rate"],
                "messages/s",
                of_possible=sent["rate"] * delay / 1000,
                cpu_us=sent["cpu_us"],
            )


def scale(small: int, large: int) -> None:
    """Measure a small and a large campaign, and the pages meanwhile."""
    with sinks.fast() as url:
        few = send(frozen_run(small)[0], url)
        run, seconds = frozen_run(large)
        figure("freeze", large / seconds, "messages/s", messages=large, seconds=seconds)
        with timed_requests(run.campaign) as samples:
            many = send(run, url)
    figure("rate of a large campaign", many["rate"], "messages/s", messages=large, of_small=many["rate"] / few["rate"])
    figure("memory of a worker", many["memory_mb"], "MB", messages=large, with_small=few["memory_mb"])
    for name, (calm, *times) in samples.items():
        median = statistics.median(times)
        figure(f"{name} while it runs", median, "ms", worst=max(times), samples=len(times), of_calm=median / calm)


@contextmanager
def timed_requests(campaign: Campaign) -> Iterator[dict[str, list[float]]]:
    """Request the campaign's page and figures twice a second; yields milliseconds, first those of a quiet moment."""
    page, token = Client(headers={"host": "localhost"}), ApiToken.issue(campaign.owner)[1]
    page.force_login(campaign.owner)
    addresses = {
        "page": (page, f"/campaigns/{campaign.pk}/"),
        "stats call": (
            Client(headers={"host": "localhost", "Authorization": f"Bearer {token}"}),
            f"/api/v1/campaigns/{campaign.pk}/stats",
        ),
    }

    def took(client: Client, address: str) -> float:
        started = time.perf_counter()
        answer = client.get(address)
        assert answer.status_code == 200, answer
        return (time.perf_counter() - started) * 1000

    # The first requests also load code and templates.
    calm = {name: statistics.median([took(*asked) for _ in range(20)][5:]) for name, asked in addresses.items()}
    times = {name: [moment] for name, moment in calm.items()}
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.5):
            for name, asked in addresses.items():
                times[name].append(took(*asked))
        connection.close()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield times
    finally:
        over.set()
        thread.join()
