"""A database that stalls in the middle of a send session: nothing is sent on what was read before."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from campaigns.gateways.drivers.probe import Probe
from campaigns.models import Campaign, RateLimitState
from campaigns.planning.lifecycle import campaign_advance
from campaigns.sandbox.server import Sandbox
from campaigns.sending.rate_limit import reserve
from campaigns.sending.session import SendSession
from campaigns.sending.transport import CurlTransport
from campaigns.states import CampaignStatus
from directory.models import Contact
from tests.campaigns.engine import Inline, campaign_to, statuses

pytestmark = pytest.mark.django_db
Result = TypeVar("Result")

STALL_AT, CHANGE_AT, STALL_UNTIL, END_AT = 0.4, 0.6, 2.2, 3.0


class LateFuture(Future[Result]):
    """A future that is done no earlier than `ready_at` (monotonic)."""

    ready_at = 0.0

    def done(self) -> bool:
        """See `Future`."""
        return super().done() and time.monotonic() >= self.ready_at


class Stalling(Inline):
    """Runs each job at once; the answers of jobs submitted during the stall arrive at its end."""

    def __init__(self, stall_at: float) -> None:
        self.begun_at, self.stall_at = time.monotonic(), stall_at

    def submit(self, job: Callable[..., Result], /, *args: Any, **options: Any) -> Future[Result]:
        """Run the job; the future holds its result at the end of the stall."""
        finished, late = super().submit(job, *args, **options), LateFuture[Result]()
        if self.stall_at <= time.monotonic() - self.begun_at < STALL_UNTIL:
            late.ready_at = self.begun_at + STALL_UNTIL
        error = finished.exception()
        if error is None:
            late.set_result(finished.result())
        else:
            late.set_exception(error)
        return late


def run_stalling(
    sandbox: Sandbox, parts: list[str], change: Callable[[], object], *, stall_at: float = STALL_AT
) -> float:
    """Run a session in which these parts of the database worker stall; return when `change` was made in the stall."""
    adapter = Probe(sandbox.url, settings.GATEWAY_TOKEN)
    transport = CurlTransport(adapter.headers)
    begun_at, changed_at = time.monotonic(), 0.0

    def stopping() -> bool:
        nonlocal changed_at
        if not changed_at and time.monotonic() - begun_at > CHANGE_AT:
            change()
            changed_at = time.time()
        return False

    session = SendSession(adapter, transport, executor=Inline(), stopping=stopping, seconds=END_AT)
    for part in parts:
        setattr(session.db_worker, part, Stalling(stall_at))
    try:
        session.run()
    finally:
        transport.close()
    return changed_at


def launch(owner: User, contacts: int, **fields: Any) -> Campaign:
    campaign = campaign_to(owner, contacts, **fields)
    campaign_advance(campaign.pk)
    return campaign


@pytest.mark.parametrize(
    "parts", [["_leasing"], ["_executor"], ["_reserving"], ["_leasing", "_executor", "_reserving"]]
)
def test_nothing_is_sent_a_second_after_a_pause(alice: User, sandbox: Sandbox, parts: list[str]) -> None:
    campaign = launch(alice, 600, rate_limit=100)
    paused_at = run_stalling(
        sandbox, parts, lambda: Campaign.objects.filter(pk=campaign.pk).update(status=CampaignStatus.PAUSED)
    )
    times = [entry.last_at for entry in sandbox.ledger.messages.values()]
    assert times
    assert max(times) < paused_at + 1


def test_who_opts_out_during_a_stalled_lease_gets_no_message(alice: User, sandbox: Sandbox) -> None:
    campaign = launch(alice, 5)
    someone = Contact.objects.earliest("pk").pk
    run_stalling(sandbox, ["_leasing"], lambda: Contact.objects.filter(pk=someone).update(opted_out=True), stall_at=0)
    assert statuses(campaign) == {"sent": 4, "cancelled": 1}
    assert sandbox.ledger.accepted == 4


def test_all_rates_are_reserved_by_the_same_number_of_statements() -> None:
    def statements(keys: int) -> int:
        rates = {f"campaign:{number}": 2.0 for number in range(keys)}
        reserve(rates, 1000.0)
        with CaptureQueriesContext(connection) as queries:
            assert {answer.number for answer in reserve(rates, 1001.0).values()} == {1}
        return len(queries)

    assert statements(1) == statements(100) <= 4
    assert RateLimitState.objects.count() == 100
