"""Reports over ten million messages: pages, files, and the daily e-mails of a thousand users."""

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import date, timedelta
from smtplib import SMTP
from typing import Any, Final

from django.core.management import call_command
from django.test import Client
from django.utils.timezone import localdate

from tools.bench.figures import figure  # isort: skip - it sets Django up

from accounts.models import User
from campaigns.models import Campaign, Run
from project.observability.metrics.meters import METERS, Counter, Histogram, flush
from reports.models import Report, Tally

_USERS: Final = 1000
_CONTACTS: Final = 1_000_000
_TIMES: Final = 20
_YEAR: Final = f"?period=own&first={localdate() - timedelta(days=364)}&last={localdate()}"
_PAGES: Final = ("/", "/reports/", *(f"/reports/?period={name}" for name in ("today", "7", "90")), f"/reports/{_YEAR}")
_SMTP_PORT: Final = 8025


def reports(messages: int) -> None:
    """Create messages of a thousand users, a tenth of them from yesterday, and measure reports."""
    make(messages)
    look()
    mail(localdate(Run.objects.latest("started_at").started_at))
    call_command("flush", verbosity=0, interactive=False)


def make(messages: int) -> None:
    """Create users, contacts, a year of campaigns and a large one, and their report figures."""
    call_command("migrate", verbosity=0)
    User.objects.create_superuser("bench@example.org", "bench")
    User.objects.bulk_create(User(email=f"user{number}@example.org") for number in range(_USERS))
    contacts = min(_CONTACTS, messages // 10)
    call_command("make_directory", contacts=contacts, verbosity=0)
    started = time.perf_counter()
    call_command("make_messages", messages=messages * 9 // 10, campaigns=min(1800, messages // 50))
    call_command("make_messages", messages=messages // 10, campaigns=min(_USERS, messages // 50), days=1)
    figure(f"making {messages} messages", time.perf_counter() - started, "s")
    call_command("make_messages", messages=contacts, campaigns=1)
    started = time.perf_counter()
    call_command("count_tallies")
    figure("counting them for the reports", time.perf_counter() - started, "s", tallies=Tally.objects.count())


def look() -> None:
    """Measure pages and files for the administrator who owns the large campaign and for a user; and `/metrics`."""
    large = Campaign.objects.latest("pk")
    own = Campaign.objects.filter(owner__is_staff=False).latest("pk")
    for name, campaign in (("user", own), ("administrator", large)):
        client = Client(headers={"host": "localhost"})
        client.force_login(campaign.owner)
        for address in (*_PAGES, f"/reports/campaigns/{campaign.pk}/", f"/campaigns/{campaign.pk}/"):
            _page(name, client, address)
    for kind in ("csv", "xlsx"):
        for address in (f"campaigns/{large.pk}/messages.{kind}", f"campaigns.{kind}", f"days.{kind}{_YEAR}"):
            _file(client, f"/reports/{address}")
    measure_much()
    _page("Prometheus", client, "/metrics")


def measure_much() -> None:
    """Create as many metric rows as a busy installation has: fifteen for each label of each meter."""
    for meter in METERS.values():
        for number in range(15 if meter.labels else 1):
            labels = [f"{label}-{number}" for label in meter.labels]
            if isinstance(meter, Histogram):
                meter.observe(*labels, seconds=meter.bounds)
            elif isinstance(meter, Counter):
                meter.add(*labels)
    flush()


def _page(name: str, client: Client, address: str) -> None:
    assert client.get(address).status_code == 200, address
    taken = sorted(_timed(lambda: client.get(address)) for _ in range(_TIMES))
    figure(
        f"{name}: {address.split('&', maxsplit=1)[0]}",
        statistics.median(taken),
        "ms",
        p95=taken[_TIMES * 95 // 100 - 1],
    )


def _timed(job: Callable[[], Any]) -> float:
    started = time.perf_counter()
    job()
    return (time.perf_counter() - started) * 1000


def _file(client: Client, address: str) -> None:
    """Measure the time to the first bytes, and the memory that the download takes."""
    before, started = _peak_mb(), time.perf_counter()
    content = iter(client.get(address).streaming_content)  # type: ignore[attr-defined]
    size, first = len(next(content)), time.perf_counter() - started
    size += sum(map(len, content))
    figure(
        f"file: {address.split('?', maxsplit=1)[0]}",
        first,
        "s to its first bytes",
        seconds=time.perf_counter() - started,
        mb=size / 1e6,
        memory_mb=_peak_mb() - before,
    )


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def mail(day: date) -> None:
    """Measure the daily reports of all users, sent to an SMTP server on loopback that discards them."""
    with _mail_server():
        started = time.perf_counter()
        command = [sys.executable, "manage.py", "send_daily_report", "--date", f"{day}"]
        url = f"smtp://127.0.0.1:{_SMTP_PORT}"
        subprocess.run(command, env={**os.environ, "EMAIL_URL": url}, check=True, stdout=subprocess.DEVNULL)
    sent = Report.objects.filter(status="sent").count()
    figure("daily e-mail", time.perf_counter() - started, "s", sent=sent, of=Report.objects.count())


@contextmanager
def _mail_server() -> Iterator[None]:
    command = [sys.executable, "-m", "aiosmtpd", "-n", "-c", "aiosmtpd.handlers.Sink", "-l", f"127.0.0.1:{_SMTP_PORT}"]
    process = subprocess.Popen(command)
    try:
        for _ in range(100):
            with suppress(OSError), SMTP("127.0.0.1", _SMTP_PORT):
                break
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(30)
