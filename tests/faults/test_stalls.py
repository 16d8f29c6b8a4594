"""A worker that stands still, or a database that does: the others continue, and nothing is sent on an old state."""

import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from campaigns.sandbox.server import running_sandbox
from tests.faults.oracle import add_recipients, evidence
from tests.stack import TOKEN, Api, Stack, database, finished, launch, processes, running_stack, wait_for
from tools.distance import Distance, at_distance

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(
        not os.environ.get("DATABASE_URL", "").startswith("postgres"), reason="SQLite has one writer, and no network"
    ),
]
IN_TRANSACTION = (
    "SELECT pid, xact_start FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'"
)


@contextmanager
def suspended(worker: Stack) -> Iterator[None]:
    """Suspend all processes of a worker, as a paused virtual machine does."""
    pids = worker.worker_pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def holds_a_transaction(worker: Stack) -> bool:
    """Whether somebody stands still within a transaction."""
    before = set(worker.rows(IN_TRANSACTION))
    time.sleep(0.3)
    return bool(before & set(worker.rows(IN_TRANSACTION)))


def test_others_send_again_soon_after_a_worker_is_suspended(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with ExitStack() as context:
        first = context.enter_context(running_stack(tmp_path / "one"))
        second = Stack(tmp_path / "two", first.environment["DATABASE_URL"], first.sandbox)
        context.enter_context(processes(second))
        api = first.fresh_api()
        add_recipients(first, "suspended", 20_000)
        campaign = launch(api, "suspended", rate_limit=300)
        wait_for(lambda: first.sandbox.ledger.accepted >= 1000, "the first messages")
        for _ in range(200):
            with suspended(first):
                if holds_a_transaction(second):
                    frozen_at = time.time()
                    time.sleep(30)
                    break
        else:
            pytest.fail("no transaction was caught")
        api.call("PATCH", f"/campaigns/{campaign}", rate_limit=None)
        wait_for(lambda: finished(api, campaign), "the campaign's end", 240)
        found = evidence(first, campaign)
        found.assert_nothing_lost_or_doubled(20_000)
    arrivals = [frozen_at, *(at for at in found.times() if frozen_at < at < frozen_at + 30), frozen_at + 30]
    standstill = max(after - before for before, after in itertools.pairwise(arrivals))
    record_property("figures", {"standstill": standstill, **found.statuses})
    assert standstill < 20


@pytest.fixture(scope="module")
def distant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Distance]]:
    """A stack whose worker reaches its database through a proxy."""
    folder = tmp_path_factory.mktemp("distant")
    with ExitStack() as context:
        url = context.enter_context(database(folder))
        proxy = context.enter_context(at_distance(url))
        stack = Stack(folder, url, context.enter_context(running_sandbox(token=TOKEN, seed=1)))
        stack.set_up()
        context.enter_context(processes(stack))
        stack.stop_worker()
        near = dict(stack.environment)
        stack.environment["DATABASE_URL"] = proxy.url
        stack.start_worker()
        stack.environment = near
        yield stack, proxy


@pytest.mark.parametrize("action", ["pause", "cancel", "end", "opt-out"])
@pytest.mark.parametrize("seconds", [1, 5, 20])
@pytest.mark.parametrize("begin", [0.0, 0.05])
def test_nothing_is_sent_a_second_after_a_stop_while_the_database_stalls(
    distant: tuple[Stack, Distance], begin: float, seconds: int, action: str
) -> None:
    stack, proxy = distant
    api = stack.fresh_api()
    tag = f"{action} {seconds} {begin}"
    add_recipients(stack, tag, 3000)
    ends_at = datetime.now(UTC) + timedelta(seconds=8 if action == "end" else 3600)
    campaign = launch(api, tag, rate_limit=200, ends_at=ends_at.isoformat())
    wait_for(lambda: stack.sandbox.ledger.accepted >= 200, "the first messages")
    # Snapshots, leases and records come every tenth of a second, so stalls begin in different statements.
    time.sleep(begin)
    with proxy.stalled():
        time.sleep(0.2)
        stopped_at = stop(stack, api, campaign, action, ends_at)
        time.sleep(max(0.0, stopped_at - time.time()) + seconds)
    leased = f"SELECT 1 FROM campaigns_run WHERE campaign_id = {campaign} AND sending > 0"
    if action != "opt-out":
        wait_for(lambda: not stack.rows(leased), "the end of its leases", 90)
    found = evidence(stack, campaign)
    stopped = opted_out(stack) if action == "opt-out" else found.messages.keys()
    late = [entry["at"] - stopped_at for entry in found.requests if entry["id"] in stopped and entry["at"] > stopped_at]
    assert max(late, default=0) < 1
    assert len(found.requests) >= 200


def stop(stack: Stack, api: Api, campaign: int, action: str, ends_at: datetime) -> float:
    """Stop sending in that way; return when it takes effect (seconds since the epoch)."""
    if action == "end":
        return ends_at.timestamp()
    if action == "opt-out":
        stack.rows("UPDATE directory_contact SET opted_out = true WHERE id % 2 = 0 RETURNING id")
    else:
        api.call("POST", f"/campaigns/{campaign}/{action}")
    return time.time()


def opted_out(stack: Stack) -> set[int]:
    """The messages to contacts that have opted out."""
    query = "SELECT m.id FROM campaigns_message m JOIN directory_contact c ON c.id = m.contact_id WHERE c.opted_out"
    return {pk for (pk,) in stack.rows(query)}
