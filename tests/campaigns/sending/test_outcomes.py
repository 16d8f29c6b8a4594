"""Outcomes of attempts: what is logged, and which state a message gets when it can't be sent."""

import pytest
from django.utils.timezone import now
from pytest_django import Settings

from accounts.models import User
from campaigns.models import Attempt, Message, RunReason
from campaigns.planning.lifecycle import campaign_advance
from campaigns.sandbox.server import Sandbox
from campaigns.sending.outcomes import is_logged
from tests.campaigns.engine import assert_counters_match, campaign_to, run_session, send_everything, statuses

pytestmark = pytest.mark.usefixtures("fast_retries")


def test_a_share_of_successes_is_logged(settings: Settings) -> None:
    settings.LOG_SENT_SHARE = 0.25
    assert [is_logged(number) for number in (249, 250, 1249, 1250)] == [True, False, True, False]
    settings.LOG_SENT_SHARE = 0
    assert not any(map(is_logged, range(2000)))


def test_a_permanent_refusal_is_not_retried(alice: User, sandbox: Sandbox) -> None:
    sandbox.faults = sandbox.faults.updated({"refuse": 1})
    campaign = campaign_to(alice, 5)
    send_everything(campaign, sandbox)
    assert statuses(campaign) == {"failed": 5}
    assert sandbox.ledger.requests == 5
    attempt = Attempt.objects.first()
    assert attempt
    assert (attempt.reason, attempt.http_status) == ("http_400", 400)
    assert attempt.answer


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [("redirect", "failed", "redirect"), ("error", "unknown", "http_500"), ("lost", "unknown", "reset")],
)
def test_attempts_are_used_up(
    alice: User, sandbox: Sandbox, settings: Settings, *, fault: str, status: str, reason: str
) -> None:
    settings.MAX_ATTEMPTS = 3
    sandbox.faults = sandbox.faults.updated({fault: 1})
    campaign = campaign_to(alice, 2)
    send_everything(campaign, sandbox)
    assert statuses(campaign) == {status: 2}
    assert sandbox.ledger.requests == 6
    assert set(Message.objects.values_list("reason", "attempts")) == {(reason, 3)}
    assert RunReason.objects.get().number == Message.objects.count() * 3
    assert_counters_match(campaign)


@pytest.mark.parametrize(("certain", "uncertain"), [("refuse", "lost"), ("redirect", "drip")])
def test_a_message_that_may_have_been_accepted_never_fails(
    alice: User, sandbox: Sandbox, settings: Settings, certain: str, uncertain: str
) -> None:
    settings.MAX_ATTEMPTS, settings.GATEWAY_TIMEOUT = 2, 1
    sandbox.faults = sandbox.faults.updated({uncertain: 1})
    campaign = campaign_to(alice, 2)
    campaign_advance(campaign.pk)
    settings.RETRY_BASE = settings.RETRY_CAP = 60
    run_session(sandbox)
    assert statuses(campaign) == {"pending": 2}
    Message.objects.update(due_at=now())
    sandbox.faults = sandbox.faults.updated({uncertain: 0, certain: 1})
    send_everything(campaign, sandbox)
    assert statuses(campaign) == {"unknown": 2}
    assert_counters_match(campaign)
