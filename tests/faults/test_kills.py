"""Processes of the worker are killed with SIGKILL, one at a time, while a campaign is sent."""

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.oracle import Scale, add_recipients, evidence, long
from tests.stack import Api, Stack, finished, launch, wait_for

LEASE_SECONDS = 20 + 2 + 30  # a send session, the stack's GATEWAY_TIMEOUT, and time to record
CONCURRENCY = 100


def tree(stack: Stack) -> list[int]:
    """The processes under the watchdog: django-q2's main process, sentinel, pusher, monitor and workers."""
    assert stack.worker
    return [pid for pid in stack.worker_pids() if pid != stack.worker.pid]


def sockets(pid: int) -> int:
    """The number of a process's connections; the sender has the most."""
    with suppress(OSError):
        return sum(str(entry.readlink()).startswith("socket:") for entry in Path(f"/proc/{pid}/fd").iterdir())
    return 0


def test_a_sender_is_killed_and_another_continues(stack: Stack, api: Api) -> None:
    stack.sandbox.faults = stack.sandbox.faults.updated({"latency": 0.3})
    add_recipients(stack, "one-killed", 120)
    campaign = launch(api, "one-killed", rate_limit=40)
    wait_for(lambda: stack.sandbox.ledger.accepted >= 20, "the first messages")
    os.kill(max(tree(stack), key=sockets), signal.SIGKILL)
    # Expire its lease and run the sweep now instead of waiting a minute.
    later = (
        "from campaigns.models import Lease; from django.utils.timezone import now; from campaigns.tasks import sweep; "
    )
    stack.manage("shell", "-v0", "-c", later + "Lease.objects.update(until=now()); sweep()")
    wait_for(lambda: finished(api, campaign), "the campaign's end", 120)
    found = evidence(stack, campaign)
    found.assert_nothing_lost_or_doubled(120)
    assert found.statuses == {"sent": 120}
    assert 120 < found.taken.total() <= 120 + CONCURRENCY


@pytest.mark.parametrize("scale", [long(10_000, rate=30, faults=(15.0,) * 20)], ids=["long"])
def test_random_processes_are_killed_and_nothing_is_lost(stack: Stack, api: Api, scale: Scale) -> None:
    """Kill twenty processes, busy or idle; their messages are rescued when the leases expire."""
    stack.sandbox.faults = stack.sandbox.faults.updated({"latency": 0.3})
    add_recipients(stack, "killed", scale.recipients)
    campaign = launch(api, "killed", rate_limit=scale.rate)
    wait_for(lambda: stack.sandbox.ledger.accepted >= 20, "the first messages")
    chance, kills = random.Random(1), []
    for pause in scale.faults:
        victims = wait_for(lambda: tree(stack), "a worker tree", 90)
        os.kill(chance.choice(victims), signal.SIGKILL)
        kills.append(time.time())
        time.sleep(pause)
    wait_for(lambda: finished(api, campaign), "the campaign's end", 600)
    found = evidence(stack, campaign)
    found.assert_nothing_lost_or_doubled(scale.recipients)
    assert found.statuses == {"sent": scale.recipients}
    assert found.taken.total() - scale.recipients <= len(kills) * CONCURRENCY
    assert stack.worker
    assert stack.worker.poll() is None
    for at in (at for at in rescues(stack) if at > kills[0]):
        assert at - max(kill for kill in kills if kill < at) <= LEASE_SECONDS + 60
    arrivals = [*kills[:1], *found.times()]
    standstill = max(after - before for before, after in zip(sorted(arrivals), sorted(arrivals)[1:], strict=False))
    assert standstill <= LEASE_SECONDS + 60


def rescues(stack: Stack) -> list[float]:
    """When messages of killed workers were rescued (seconds since the epoch)."""
    postgres = stack.environment["DATABASE_URL"].startswith("postgres")
    moment = "extract(epoch FROM at)" if postgres else "(julianday(at) - 2440587.5) * 86400"
    found = stack.rows(f"SELECT {moment} FROM campaigns_attempt WHERE reason = 'worker_died'")
    return [float(at) for (at,) in found]


@pytest.mark.soak
def test_a_killed_sender_repeats_only_the_last_moment(
    stack: Stack, api: Api, record_property: Callable[[str, object], None]
) -> None:
    """At 400 messages per second: what was in flight, or answered within the last 50 ms."""
    latency, recipients, kills = 0.05, 12_000, []
    stack.sandbox.faults = stack.sandbox.faults.updated({"latency": latency})
    add_recipients(stack, "repeats", recipients)
    campaign = launch(api, "repeats", rate_limit=400)
    for number in range(1, 5):
        wait_for(lambda: stack.sandbox.ledger.accepted >= number * 2000, "two thousand more", 60)  # noqa: B023
        kills.append(time.time())
        os.kill(max(tree(stack), key=sockets), signal.SIGKILL)
    wait_for(lambda: finished(api, campaign), "the campaign's end", 300)
    found = evidence(stack, campaign)
    found.assert_nothing_lost_or_doubled(recipients)
    first: dict[int, float] = {}
    for entry in found.requests:
        first.setdefault(entry["id"], entry["at"])
    repeated = [first[pk] + latency for pk, times in found.taken.items() if times > 1]
    ages = [min(kill - at for kill in kills if kill > at - 1) for at in repeated]
    record_property("figures", {"repeats": len(repeated), "kills": len(kills), "oldest": max(ages, default=0)})
    assert max(ages, default=0) <= 0.05 + 0.03  # and a record that was being written
