"""Asking providers for receipts: when, how often, and what becomes of the answers."""

from datetime import timedelta
from typing import Any

import pytest

from accounts.models import User
from campaigns.gateways import registry
from campaigns.gateways.protocol import Answer
from campaigns.models import Gateway, Message, ProviderId, WaitingReceipt
from campaigns.sending import pulling
from campaigns.sending.pulling import pull_receipts
from project.core.clock import now
from tests.campaigns.outcomes import started

pytestmark = pytest.mark.django_db


class Recording:
    """A transport that answers at once."""

    def __init__(self, answers: dict[str, Answer]) -> None:
        self.answers, self.asked, self.waiting = answers, list[str](), list[tuple[Any, Answer]]()

    @property
    def in_flight(self) -> int:
        return len(self.waiting)

    def submit(self, key: list[str], request: Any, timeout: float) -> None:
        self.asked += key
        self.waiting.append((key, self.answers.get(key[0], Answer(500))))

    def poll(self, wait: float) -> list[tuple[Any, Answer]]:
        ended, self.waiting = self.waiting, []
        return ended

    def close(self) -> None:
        pass


def status(code: int) -> Answer:
    return Answer(200, b'{"data": [{"smslog_id": "x1", "status": "%d"}], "status": "OK"}' % code)


@pytest.fixture
def transport(monkeypatch: pytest.MonkeyPatch) -> Recording:
    """The transport to a playSMS."""
    recording = Recording({})
    monkeypatch.setattr(pulling, "transport_for", lambda driver, request: recording)
    fields = {"username": "u", "token": "t"}
    secret = '{"token": "t"}'
    Gateway.objects.create(
        name="p", kind="http", preset="playsms", url="http://p.example", options=fields, secret=secret
    )
    assert registry.pulls("p")
    return recording


def accepted(owner: User, *, age: timedelta = timedelta(minutes=5), status: str = "sent") -> ProviderId:
    """A message that playSMS has accepted."""
    _campaign, run = started(owner, contacts=1, gateway=Gateway.objects.get(pk="p"))
    Message.objects.filter(run=run).update(status=status, gateway="p", changed_at=now() - age)
    return ProviderId.objects.create(gateway="p", provider_id="x1", message=run.messages.get(), pull_at=now())


def test_a_final_status_is_stored_as_a_receipt(alice: User, transport: Recording) -> None:
    row = accepted(alice)
    transport.answers["x1"] = status(3)
    pull_receipts()
    receipt = WaitingReceipt.objects.get()
    assert (receipt.gateway, receipt.provider_id, receipt.delivered) == ("p", "x1", True)
    row.refresh_from_db()
    assert row.pull_at is not None
    assert row.pull_at >= now() + timedelta(minutes=4)
    pull_receipts()
    assert transport.asked == ["x1"]


@pytest.mark.parametrize("answer", [status(1), Answer(500), Answer(200, b"<html>"), Answer(200, b"{}")])
def test_without_an_answer_it_is_asked_again_later(alice: User, transport: Recording, answer: Answer) -> None:
    row = accepted(alice, age=timedelta(seconds=30))
    transport.answers["x1"] = answer
    pull_receipts()
    row.refresh_from_db()
    assert row.pull_at is not None
    assert timedelta(seconds=50) < row.pull_at - now() <= timedelta(minutes=1)
    assert not WaitingReceipt.objects.exists()


@pytest.mark.parametrize(
    ("age", "status"), [(timedelta(days=4), "sent"), (timedelta(minutes=1), "delivered"), (timedelta(0), "undelivered")]
)
def test_what_needs_no_receipt_is_not_asked_for(alice: User, transport: Recording, age: timedelta, status: str) -> None:
    row = accepted(alice, age=age, status=status)
    pull_receipts()
    row.refresh_from_db()
    assert (transport.asked, row.pull_at) == ([], None)


def test_others_are_never_asked(alice: User, transport: Recording) -> None:
    accepted(alice)
    Gateway.objects.update(active=False)
    pull_receipts()
    Gateway.objects.update(active=True, preset="twilio")
    pull_receipts()
    assert transport.asked == []
