"""The oracle of the fault suite: joins the gateway's log with the database."""

import json
import os
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import pytest
from _pytest.mark import ParameterSet

from tests.stack import Stack

TAKEN = {"accepted", "repeat", "lost", "drip"}
"""The outcomes of a request after which the gateway has the message."""


@dataclass(frozen=True)
class Scale:
    """The size of a test: the short form runs in the normal suite, the long one with `make soak`."""

    recipients: int
    rate: float | None = None
    """Messages per second."""
    faults: tuple[float, ...] = ()
    """The faults: how many, or for how many seconds."""


def long(recipients: int, *, rate: float | None = None, faults: tuple[float, ...] = ()) -> ParameterSet:
    """The long form, for `make soak`; on SQLite, which has one writer, a tenth of the recipients."""
    if not os.environ.get("DATABASE_URL", "").startswith("postgres"):
        recipients, rate = recipients // 10, rate and rate / 10
    return pytest.param(Scale(recipients, rate, faults), marks=pytest.mark.soak)


@dataclass(frozen=True)
class Evidence:
    """The gateway's and the database's view of one campaign."""

    messages: dict[int, tuple[str, int, int]]
    """Status, attempts and phone by id, from the database."""
    requests: list[dict[str, Any]]
    """The gateway's log of those ids, in order of arrival."""
    taken: Counter[int] = field(default_factory=Counter)
    """How often the gateway accepted each id."""

    @property
    def statuses(self) -> Counter[str]:
        """Messages by status."""
        return Counter(status for status, _, _ in self.messages.values())

    def times(self, *outcomes: str) -> list[float]:
        """Times of requests with these outcomes (default: all), in seconds since the epoch."""
        return [entry["at"] for entry in self.requests if not outcomes or entry["outcome"] in outcomes]

    def assert_nothing_lost_or_doubled(self, recipients: int) -> None:
        """Assert that no message is lost or duplicated.

        Each recipient has one message, what the gateway took is what the database takes for sent, and an id never came
        with two payloads.
        """
        assert len(self.messages) == recipients
        phones = Counter(phone for _, _, phone in self.messages.values() if phone is not None)
        assert max(phones.values(), default=1) == 1
        sent = {pk for pk, (status, _, _) in self.messages.items() if status == "sent"}
        unknown = {pk for pk, (status, _, _) in self.messages.items() if status == "unknown"}
        assert sent <= self.taken.keys() <= sent | unknown
        payloads = defaultdict(set)
        for entry in self.requests:
            if entry["payload"]:
                payloads[entry["id"]].add(entry["payload"])
        assert max(map(len, payloads.values()), default=1) == 1


def evidence(stack: Stack, campaign: int) -> Evidence:
    """Collect the evidence now. Asserts that counters agree with the messages."""
    assert_counters_agree(stack)
    return collected(stack, campaign)


def assert_counters_agree(stack: Stack) -> None:
    """Assert that the counters of all runs agree with their messages."""
    assert "All counters agree" in stack.manage("verify_counters")


def collected(stack: Stack, campaign: int) -> Evidence:
    """Collect the evidence now."""
    rows = stack.rows(
        "SELECT m.id, m.status, m.attempts, m.phone FROM campaigns_message m "
        f"JOIN campaigns_run r ON r.id = m.run_id WHERE r.campaign_id = {campaign}"
    )
    messages = {pk: (status, attempts, phone) for pk, status, attempts, phone in rows}
    log = map(json.loads, stack.log.getvalue().splitlines())
    requests = sorted((entry for entry in log if entry["id"] in messages), key=lambda entry: entry["at"])
    taken = Counter(entry["id"] for entry in requests if entry["outcome"] in TAKEN)
    return Evidence(messages, requests, taken)


def add_recipients(stack: Stack, tag: str, number: int) -> None:
    """Create this many contacts with the tag, faster than through the API."""
    stack.manage(
        "shell",
        "-v0",
        "-c",
        f"""
from django.db.models import Max
from accounts.models import User
from directory.models import Contact, Tag
from directory.phones import operator_code
first = max(79170000000, Contact.objects.aggregate(last=Max("phone"))["last"] or 0) + 1
owner, (tag, _) = User.objects.first(), Tag.objects.get_or_create(name={tag!r})
contacts = Contact.objects.bulk_create(
    [Contact(phone=first + n, operator_code=operator_code(first + n), owner=owner) for n in range({number})],
    batch_size=500,
)
through = Contact.tags.through
through.objects.bulk_create([through(contact=contact, tag=tag) for contact in contacts], batch_size=400)
""",
    )
