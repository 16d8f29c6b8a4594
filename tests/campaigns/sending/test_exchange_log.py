"""What a send session logs of its exchanges: failures first, and few."""

from typing import Any

import pytest
from pytest_django import Settings

from accounts.models import User
from campaigns.gateways.exchanges import Quota, Recorder
from campaigns.gateways.protocol import Answer, Outcome, TransportFailure, Verdict
from campaigns.models import Exchange
from campaigns.sandbox.server import Sandbox
from campaigns.sending.exchange_log import ExchangeLog
from campaigns.sending.outcomes import Completed
from tests.campaigns.engine import campaign_to, send_everything, statuses

pytestmark = pytest.mark.usefixtures("fast_retries")

TEXT = "Дорогой Ипполит, Ваш код 4711"


def columns() -> str:
    """All columns of all rows."""
    return "\n".join(str(value) for row in Exchange.objects.values_list() for value in row)


@pytest.mark.parametrize(("fault", "verdict", "most"), [("", "sent", 5), ("refuse", "refused", 40)])
def test_a_session_logs_some_exchanges(
    alice: User, sandbox: Sandbox, settings: Settings, *, fault: str, verdict: str, most: int
) -> None:
    sandbox.faults = sandbox.faults.updated({fault: 1} if fault else {})
    campaign = campaign_to(alice, 60, text=TEXT)
    send_everything(campaign, sandbox)
    assert sum(statuses(campaign).values()) == 60
    assert 1 <= Exchange.objects.filter(verdict=verdict).count() <= most
    row = Exchange.objects.latest("pk")
    assert (row.gateway, row.method, row.status) == ("probe", "POST", 400 if fault else 200)
    assert row.request.startswith(f'{{"id": {row.message_id}, "phone": •••')
    assert row.request.endswith(', "text": "…"}')
    personal = [settings.GATEWAY_TOKEN, TEXT, "Ипполит", *map(str, range(79050000000, 79050000060))]
    assert not [each for each in personal if each in columns()]


def test_an_error_of_the_log_harms_nothing(alice: User, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError(TEXT)

    monkeypatch.setattr(Recorder, "sent", broken)
    campaign = campaign_to(alice, 3)
    send_everything(campaign, sandbox)
    assert statuses(campaign) == {"sent": 3}
    assert not Exchange.objects.exists()


def test_failures_come_first_and_successes_once_a_second() -> None:
    quota = Quota()
    assert sum(quota.take(3) for _ in range(100)) == 10
    log = ExchangeLog("probe")
    answer = Answer(failure=TransportFailure.TIMEOUT)
    failure = Completed(None, answer, Outcome(Verdict.RETRY, "timeout", uncertain=True))  # type: ignore[arg-type]
    success = Completed(None, Answer(200), Outcome(Verdict.SENT))  # type: ignore[arg-type]
    assert log.choose([success] * 5 + [failure] * 5) == [failure] * 3
    assert log.choose([success] * 1000) == [success]
    assert log.choose([success] * 1000) == []
