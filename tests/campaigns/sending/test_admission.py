"""An outage stops all sending at once, and single probes find out when it is over."""

from concurrent.futures import Future

import pytest
from django.conf import settings as project_settings
from django.utils.timezone import now
from pytest_django import Settings

from accounts.models import User
from campaigns.gateways.drivers.probe import Probe
from campaigns.gateways.routing import Route
from campaigns.models import Attempt, Campaign, Gateway, Message
from campaigns.planning.lifecycle import campaign_advance
from campaigns.sandbox.server import Sandbox
from campaigns.sending.buffer import SendableRun
from campaigns.sending.circuit_breaker import FAILURES_TO_OPEN
from campaigns.sending.lease import lease
from campaigns.sending.session import SendSession
from campaigns.sending.transport import CurlTransport
from tests.campaigns.engine import (
    Inline,
    campaign_to,
    run_session,
    send_everything,
    statuses,
)

pytestmark = pytest.mark.usefixtures("fast_retries")


def test_an_outage_is_probed_by_one_message_and_uses_no_attempts(alice: User, sandbox: Sandbox) -> None:
    sandbox.faults = sandbox.faults.updated({"outage": True})
    campaign = campaign_to(alice, 200)
    campaign_advance(campaign.pk)
    run_session(sandbox)
    assert Gateway.objects.get().open_until
    before, attempts = sandbox.ledger.requests, sorted(Message.objects.values_list("attempts", flat=True))
    for _ in range(3):
        Gateway.objects.update(open_until=now())
        Message.objects.update(due_at=now())
        run_session(sandbox)
    assert sandbox.ledger.requests == before + 3
    assert sorted(Message.objects.values_list("attempts", flat=True)) == attempts
    sandbox.faults = sandbox.faults.updated({"outage": False})
    Gateway.objects.update(open_until=now())
    send_everything(campaign, sandbox)
    assert statuses(campaign) == {"sent": 200}


def test_an_outage_at_full_speed_stops_at_once(alice: User, sandbox: Sandbox, settings: Settings) -> None:
    settings.GATEWAY_CONCURRENCY = 10
    sandbox.faults = sandbox.faults.updated({"outage": True})
    campaign = campaign_to(alice, 500)
    campaign_advance(campaign.pk)
    run_session(sandbox, seconds=0.9)
    assert FAILURES_TO_OPEN <= sandbox.ledger.requests < FAILURES_TO_OPEN + 2 * settings.GATEWAY_CONCURRENCY
    assert statuses(campaign) == {"pending": 500}


def test_a_failed_probe_lets_another_message_try(alice: User, sandbox: Sandbox) -> None:
    campaign_to(alice, 2)
    campaign_advance(Campaign.objects.get().pk)
    Gateway.objects.create(name="probe", open_until=now())
    sandbox.faults = sandbox.faults.updated({"error": 1})
    for _ in range(2):
        run_session(sandbox)
        Gateway.objects.update(open_until=now())
    assert Attempt.objects.values("message").distinct().count() == 2
    assert set(Message.objects.values_list("attempts", flat=True)) == {0}


def test_an_outage_with_retry_after_is_probed_like_any_other(alice: User, sandbox: Sandbox) -> None:
    sandbox.faults = sandbox.faults.updated({"unavailable": 1})
    campaign_to(alice, 10)
    campaign_advance(Campaign.objects.get().pk)
    Gateway.objects.create(name="probe", open_until=now(), opened_at=now(), alert="http_503")
    run_session(sandbox)
    gateway = Gateway.objects.get()
    assert gateway.open_until
    assert gateway.failed_probes == 1
    assert sandbox.ledger.requests == 1


def session_with_probe(sandbox: Sandbox) -> SendSession:
    """A session for a gateway with an outage, whose circuit breaker grants a probe."""
    sandbox.faults = sandbox.faults.updated({"outage": True})
    Gateway.objects.create(name="probe", open_until=now(), opened_at=now())
    driver = Probe(sandbox.url, project_settings.GATEWAY_TOKEN)
    return SendSession(driver, CurlTransport(driver.headers), executor=Inline(), seconds=0.5)


def test_a_buffered_message_is_not_sent_as_a_probe(alice: User, sandbox: Sandbox) -> None:
    campaign = campaign_to(alice, 30)
    campaign_advance(campaign.pk)
    run = campaign.runs.select_related("campaign").get()
    send_session = session_with_probe(sandbox)
    send_session.buffer.add(
        SendableRun(run.pk, run.campaign_id, None, None), lease({run.pk: 20}, send_session.token, Route("probe"))
    )
    send_session.run()
    send_session.transport.close()
    assert sandbox.ledger.requests == 1
    assert statuses(campaign) == {"pending": 30}


def test_a_probe_is_kept_during_a_slow_lease(alice: User, sandbox: Sandbox) -> None:
    campaign = campaign_to(alice, 3)
    campaign_advance(campaign.pk)
    send_session = session_with_probe(sandbox)
    send_session._pending_lease = Future()
    for _ in range(2):
        send_session._snapshot_requested_at = 0.0
        send_session._refresh_snapshot()
    assert send_session.admission.has_probe
    send_session._pending_lease = None
    send_session.run()
    send_session.transport.close()
    assert sandbox.ledger.requests == 1
