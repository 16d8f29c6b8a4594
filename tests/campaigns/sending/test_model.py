"""Lease, outcomes and rescuer against a reference model, in any order of events.

The model follows each message in plain Python. Whatever the order of leases, answers, deaths of workers, late records,
opt-outs and pauses, the database agrees with it.
"""

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from django.test import override_settings
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from campaigns.gateways.protocol import Answer, Outcome, Verdict
from campaigns.gateways.routing import Route
from campaigns.models import Campaign, Lease, Message
from campaigns.sending.decisions import Leased
from campaigns.sending.lease import delete_leases, lease
from campaigns.sending.outcomes import Completed, record, release
from campaigns.sending.rescuer import MAX_LEASES, rescue
from campaigns.states import CampaignStatus
from directory.models import Contact
from project.core.clock import now
from tests import factories
from tests.campaigns.engine import assert_counters_match
from tests.campaigns.outcomes import started

CONTACTS, ATTEMPTS = 6, 3
# The price depends on the phone, so a sum over the wrong messages is another one.
ROUTE = Route("probe", price_of=lambda phone: phone % 1000 + 1)
OUTCOMES = {
    "sent": Outcome(Verdict.SENT),
    "refused": Outcome(Verdict.REFUSED, "http_400"),
    "error": Outcome(Verdict.RETRY, "http_503"),
    "timeout": Outcome(Verdict.RETRY, "timeout", uncertain=True),
}


@dataclass
class Model:
    """What is known of one message."""

    run_id: int
    contact_id: int
    status: str = "pending"
    holder: UUID | None = None
    attempts: int = 0
    leases: int = 0
    doubtful: bool = False
    """The gateway may have accepted it."""

    def answered(self, outcome: str) -> None:
        """The gateway has answered, and the worker has recorded it in time."""
        self.holder, self.leases = None, 0
        self.doubtful |= outcome == "timeout"
        uncertain_end = "unknown" if self.doubtful else "failed"
        if outcome == "sent":
            self.status = "sent"
        elif outcome == "refused" or self.attempts >= ATTEMPTS:
            self.status = uncertain_end
        else:
            self.status = "pending"

    def rescued(self) -> None:
        """Its worker died; nobody knows whether it was sent."""
        self.holder, self.doubtful = None, True
        self.status = "pending" if self.leases < MAX_LEASES else "unknown"


@dataclass
class Worker:
    """What a worker holds, as it knows it."""

    token: UUID = field(default_factory=uuid4)
    messages: list[Leased] = field(default_factory=list)


class Engine(RuleBasedStateMachine):
    """Two campaigns to the same contacts."""

    def __init__(self) -> None:
        super().__init__()
        self.context = ExitStack()
        self.context.enter_context(transaction.atomic())
        self.context.callback(transaction.set_rollback, True)
        alice = factories.user("alice@example.org")
        self.campaigns = [started(alice, contacts=count, text=f"Text {count}")[0] for count in (CONTACTS, 0)]
        self.model = {
            pk: Model(run_id, contact_id)
            for pk, run_id, contact_id in Message.objects.values_list("pk", "run_id", "contact_id")
        }
        self.workers: list[Worker] = []
        self.opted_out: set[int] = set()
        self.paused: set[int] = set()

    @property
    def holding(self) -> list[Worker]:
        """The workers that believe to hold messages."""
        return [worker for worker in self.workers if worker.messages]

    @rule(first=st.integers(0, 4), second=st.integers(1, 4))
    def lease(self, first: int, second: int) -> None:
        """A worker leases from both runs."""
        wanted = zip([campaign.runs.get() for campaign in self.campaigns], (first, second), strict=True)
        due = {pk for pk, each in self.model.items() if each.status == "pending" and each.run_id not in self.paused}
        worker = Worker()
        self.workers.append(worker)
        worker.messages = lease({run.pk: number for run, number in wanted if number}, worker.token, ROUTE)
        leased = {message.id for message in worker.messages}
        assert leased <= due
        assert not any(self.model[pk].contact_id in self.opted_out for pk in leased)
        for message in worker.messages:
            each = self.model[message.id]
            each.status, each.holder = "sending", worker.token
            each.attempts, each.leases = each.attempts + 1, each.leases + 1
            assert message.attempts == each.attempts
        # Those who opted out were looked at and ended; how many depends on the limits.
        for pk, status in Message.objects.filter(pk__in=due - leased).values_list("pk", "status"):
            each = self.model[pk]
            if status != "pending":
                assert each.contact_id in self.opted_out
                each.status = "unknown" if each.doubtful else "cancelled"

    @precondition(lambda self: self.holding)
    @rule(data=st.data(), outcomes=st.lists(st.sampled_from(sorted(OUTCOMES)), min_size=1, max_size=3))
    def answer(self, data: Any, outcomes: list[str]) -> None:
        """The gateway answers some of a worker's messages; the record has no effect on those it no longer holds."""
        self.record(data.draw(st.sampled_from(self.holding)), outcomes)

    def record(self, worker: Worker, outcomes: list[str]) -> None:
        """The worker records these outcomes."""
        answered = [(worker.messages.pop(), outcome) for outcome in outcomes[: len(worker.messages)]]
        batch = [Completed(message, Answer(200), OUTCOMES[outcome]) for message, outcome in answered]
        record(worker.token, batch, gateway="probe", idempotent=True)
        for message, outcome in answered:
            if self.model[message.id].holder == worker.token:
                self.model[message.id].answered(outcome)

    @precondition(lambda self: self.holding)
    @rule(data=st.data())
    def give_back(self, data: Any) -> None:
        """A worker ends: it releases what it has not sent."""
        worker = data.draw(st.sampled_from(self.holding))
        self.workers.remove(worker)
        release(worker.token, worker.messages)
        delete_leases(worker.token)
        for message in worker.messages:
            each = self.model[message.id]
            if each.holder == worker.token:
                each.status, each.holder = "pending", None
                each.attempts, each.leases = each.attempts - 1, each.leases - 1

    @precondition(lambda self: self.holding)
    @rule(data=st.data(), number=st.integers(0, 6), outcomes=st.lists(st.sampled_from(sorted(OUTCOMES)), max_size=3))
    def stall(self, data: Any, number: int, outcomes: list[str]) -> None:
        """A worker's lease expires, and another leases its messages; then it may still record its own answers."""
        worker = data.draw(st.sampled_from(self.holding))
        Lease.objects.filter(token=worker.token).update(until=now() - timedelta(seconds=1))
        rescue(idempotent=lambda gateway: True)
        for each in self.model.values():
            if each.holder == worker.token:
                each.rescued()
        if number:
            self.lease(number, number)
        self.record(worker, outcomes)

    @rule(number=st.integers(0, CONTACTS - 1))
    def opt_out(self, number: int) -> None:
        """A contact opts out."""
        contact = sorted(each.contact_id for each in self.model.values())[number]
        Contact.objects.filter(pk=contact).update(opted_out=True)
        self.opted_out.add(contact)

    @rule(number=st.integers(0, 1))
    def pause_or_resume(self, number: int) -> None:
        """A campaign is paused, or resumed."""
        campaign, (run,) = self.campaigns[number], self.campaigns[number].runs.all()
        self.paused ^= {run.pk}
        status = CampaignStatus.PAUSED if run.pk in self.paused else CampaignStatus.RUNNING
        Campaign.objects.filter(pk=campaign.pk).update(status=status)

    @invariant()
    def database_agrees(self) -> None:
        """Each message and all counters are as the model says."""
        columns = ("pk", "status", "lease_token", "attempts", "leases")
        rows = {pk: values for pk, *values in Message.objects.values_list(*columns)}
        for pk, each in self.model.items():
            status, holder, attempts, leases = rows[pk]
            assert (status, holder, attempts) == (each.status, each.holder, each.attempts), pk
            assert leases == each.leases, pk
        for campaign in self.campaigns:
            assert_counters_match(campaign)
        held = Counter(each.holder for each in self.model.values() if each.holder)
        assert all(Lease.objects.filter(token=token).exists() for token in held)

    def teardown(self) -> None:
        """Undo the example."""
        self.context.close()


@pytest.mark.django_db
def test_any_order_of_events_agrees_with_the_model() -> None:
    # Shrinking would take minutes; the failing steps are short enough.
    options = settings(
        max_examples=40,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        phases=[Phase.explicit, Phase.generate],
    )
    with override_settings(RETRY_BASE=0.0, MAX_ATTEMPTS=ATTEMPTS):
        run_state_machine_as_test(Engine, settings=options)
