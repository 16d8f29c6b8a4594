"""Programs for comparison: loops that only send, and one task per message."""

import asyncio
import json
import subprocess
import sys
import time
from io import BytesIO
from typing import Final

import aiohttp
import django
import pycurl
import requests

django.setup()

from django_q.cluster import Cluster  # noqa: E402
from django_q.conf import Conf  # noqa: E402
from django_q.models import OrmQ  # noqa: E402
from django_q.tasks import async_task  # noqa: E402

TEXT: Final = "Здравствуйте, {first_name|друг}! До четверга скидка 20 %."
_BODY: Final = json.dumps({"id": 1, "phone": 79991234567, "text": TEXT}, ensure_ascii=False).encode()
_HEADERS: Final = {"Content-Type": "application/json", "Authorization": "Bearer token"}


def bare_curl(url: str, number: int, concurrency: int) -> float:
    """Return the seconds of a loop over CurlMulti that only sends."""
    multi, idle, left, ended = pycurl.CurlMulti(), [], number, 0
    multi.setopt(pycurl.M_MAXCONNECTS, concurrency)
    for _ in range(concurrency):
        handle = pycurl.Curl()
        handle.setopt(pycurl.POST, 1)
        handle.setopt(pycurl.HTTPHEADER, [*(f"{name}: {value}" for name, value in _HEADERS.items()), "Expect:"])
        idle.append(handle)
    started = time.perf_counter()
    while ended < number:
        while left and idle:
            handle = idle.pop()
            handle.setopt(pycurl.URL, f"{url}/send/{left}")
            handle.setopt(pycurl.POSTFIELDS, _BODY)
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
    return time.perf_counter() - started


def bare_aiohttp(url: str, number: int, concurrency: int) -> float:
    """Return the seconds of a loop over aiohttp's client that only sends."""

    async def send(session: aiohttp.ClientSession, ids: list[int]) -> None:
        while ids:
            async with session.post(f"{url}/send/{ids.pop()}", data=_BODY) as answer:
                await answer.read()

    async def everything() -> float:
        connector, ids = aiohttp.TCPConnector(limit=concurrency), list(range(number))
        async with aiohttp.ClientSession(connector=connector, headers=_HEADERS) as session:
            started = time.perf_counter()
            await asyncio.gather(*(send(session, ids) for _ in range(concurrency)))
            return time.perf_counter() - started

    return asyncio.run(everything())


def post(url: str, message: int) -> None:
    """The task of `task_each`."""
    answer = requests.post(f"{url}/send/{message}", data=_BODY, headers=_HEADERS, timeout=10)
    answer.raise_for_status()


def task_each(url: str, number: int) -> float:
    """Return the seconds of a django-q2 worker with one task per message, without its start."""
    for message in range(number):
        async_task("tools.bench.baselines.post", url, message)
    cluster = subprocess.Popen([sys.executable, "-m", "tools.bench.baselines"])
    try:
        _wait_until_left(number - 1)
        started = time.perf_counter()
        _wait_until_left(0)
        return time.perf_counter() - started
    finally:
        cluster.terminate()
        cluster.wait()


def _wait_until_left(number: int) -> None:
    while OrmQ.objects.count() > number:
        time.sleep(0.01)


if __name__ == "__main__":
    Conf.WORKERS = 1
    Cluster().start()
