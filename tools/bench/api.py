"""The JSON API under load: two real gunicorn workers, and clients with one connection each."""

import http.client
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

import requests
from django.utils.timezone import now

from tools.bench.figures import figure, make_run  # isort: skip - it sets Django up

from accounts.models import ApiToken, User
from campaigns import services
from campaigns.planning.recipients import freeze
from directory.audiences.audience import Audience
from directory.models import Contact

CALLERS, SECONDS = 4, 5.0
MESSAGES: Final = 200_000
_phones = itertools.count(79_160_000_000)


class Caller:
    """Threads that call one URL repeatedly, each over its own connection."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.headers = {
            "Authorization": f"Bearer {ApiToken.issue(User.objects.get())[1]}",
            "Content-Type": "application/json",
        }

    def post(self, path: str, body: dict[str, Any]) -> None:
        """Send one request over a new connection."""
        url = f"http://127.0.0.1:{self.port}/api/v1{path}"
        requests.post(url, json=body, headers=self.headers, timeout=60).raise_for_status()

    def bulk(self, times: int, number: int) -> None:
        """Add `number` contacts in each of `times` calls, and print contacts per second."""
        started = time.perf_counter()
        for _ in range(times):
            phones = [str(phone) for phone in itertools.islice(_phones, number)]
            self.post("/contacts/bulk", {"contacts": [{"phone": phone, "first_name": "Анна"} for phone in phones]})
        figure("API: bulk", times * number / (time.perf_counter() - started), "contacts/s", of_each_call=number)

    def measure(self, name: str, method: str, path: str, body: Callable[[], dict[str, Any]] | None = None) -> None:
        """Call for a while; print calls per second, and median and 95th percentile in milliseconds."""
        self._load(method, path, body, 0.5)
        times = sorted(self._load(method, path, body, SECONDS))
        half, most = times[len(times) // 2], times[len(times) * 95 // 100]
        figure(f"API: {name}", len(times) / SECONDS, "calls/s", median_ms=half * 1000, p95_ms=most * 1000)

    def _load(self, method: str, path: str, body: Callable[[], dict[str, Any]] | None, seconds: float) -> list[float]:
        times: list[float] = []
        deadline = time.monotonic() + seconds

        def call() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port)
            while time.monotonic() < deadline:
                sent = json.dumps(body()) if body else None
                started = time.perf_counter()
                connection.request(method, f"/api/v1{path}", sent, self.headers)
                answer = connection.getresponse()
                answer.read()
                times.append(time.perf_counter() - started)
                assert answer.status < 300, answer.status
            connection.close()

        threads = [threading.Thread(target=call) for _ in range(CALLERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return times


def calls() -> None:
    """Measure the usual calls of integrators, with the prepared contacts."""
    contacts = Contact.objects.count()
    run = make_run(min(contacts, MESSAGES))
    freeze(run)
    with web() as port:
        caller = Caller(port)
        middle = Contact.objects.order_by("pk")[contacts // 2].pk
        caller.measure("who am I", "GET", "/users/me")
        caller.measure("create a contact", "POST", "/contacts", lambda: {"phone": str(next(_phones)), "tags": ["new"]})
        caller.bulk(10, 10_000)
        caller.measure("list contacts, first page", "GET", "/contacts")
        caller.measure("list contacts, in the middle", "GET", f"/contacts?cursor={middle}")
        caller.measure("list contacts by tag", "GET", "/contacts?tag=new")
        caller.measure("a campaign's figures", "GET", f"/campaigns/{run.campaign_id}/stats")
        caller.measure("a campaign's messages", "GET", f"/campaigns/{run.campaign_id}/messages")
        caller.measure("figures of all", "GET", "/stats")


def urgent() -> None:
    """Measure single messages during a large campaign: from the call to the gateway."""
    with _process("tools.bench.arrivals") as gateway:
        assert gateway.stdout
        os.environ["GATEWAY_URL"] = f"http://127.0.0.1:{gateway.stdout.readline().strip()}/v1"
        arrivals = _arrivals(gateway)
        with web() as port, worker():
            Contact.objects.update(is_active=True)
            first = Contact.objects.order_by("pk")[MESSAGES].pk
            Contact.objects.filter(pk__gte=first).update(is_active=False)
            campaign = services.campaign_create(
                owner=User.objects.get(),
                name="Large",
                text="A large campaign",
                audience=Audience(),
                ends_at=now() + timedelta(hours=1),
            )
            _wait(lambda: campaign.runs.filter(sent__gt=1000).exists())
            called = _call_while(
                Caller(port), lambda: not campaign.runs.filter(finished_at=None, sent__lt=MESSAGES).exists()
            )
            _wait(lambda: len(arrivals) == len(called))
    times = sorted(arrivals[number] - moment for number, moment in called.items())
    figure(
        "single message to the gateway while a campaign is sent", times[len(times) // 2] * 1000, "ms",
        p99=times[len(times) * 99 // 100] * 1000, worst=times[-1] * 1000, messages=len(times),
    )  # fmt: skip


def _call_while(caller: Caller, over: Callable[[], bool]) -> dict[int, float]:
    """Send twenty messages a second until `over`, and return the time of each call."""
    called: dict[int, float] = {}
    for number in itertools.count():
        if number % 10 == 0 and over():
            return called
        called[number] = time.time()
        caller.post("/messages", {"phone": str(next(_phones)), "text": f"arrival-{number}"})
        time.sleep(max(0.0, called[number] + 0.05 - time.time()))
    raise AssertionError


def _arrivals(gateway: subprocess.Popen[str]) -> dict[int, float]:
    """Return a dictionary that fills with the arrival time of each marked message."""
    arrivals: dict[int, float] = {}

    def listen() -> None:
        assert gateway.stdout
        for line in gateway.stdout:
            number, moment = line.split()
            arrivals.setdefault(int(number), float(moment))

    threading.Thread(target=listen, daemon=True).start()
    return arrivals


@contextmanager
def web() -> Iterator[int]:
    """Run two gunicorn workers; yields the port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with _process(
        "gunicorn", "project.wsgi", "--bind", f"127.0.0.1:{port}", "--workers", "2", "--log-level", "warning"
    ):
        _wait(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)
        yield port


@contextmanager
def worker() -> Iterator[None]:
    """Run a real worker."""
    process = subprocess.Popen([sys.executable, "manage.py", "worker"])
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


@contextmanager
def _process(module: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _wait(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
