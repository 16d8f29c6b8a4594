from datetime import timedelta

import pytest
from django.utils.timezone import now

from accounts.models import User
from campaigns.messages import last_contacted
from campaigns.models import Message, Run
from campaigns.planning.recipients import recipients
from campaigns.states import MessageStatus
from directory.audiences.audience import Audience, LastContactedFilter
from directory.models import Contact, LastContacted
from tests import factories


@pytest.fixture
def run(alice: User) -> Run:
    """Three accepted messages and one that failed."""
    row = Run.objects.create(campaign=factories.campaign(alice), occurrence="2026-01-01T00:00Z", sent=3, failed=1)
    for status in (*[MessageStatus.SENT] * 2, MessageStatus.DELIVERED, MessageStatus.FAILED):
        Message.objects.create(run=row, contact=factories.contact(alice), status=status, due_at=now())
    return row


def test_last_contacted_is_updated_in_batches(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_contacted, "_BATCH", 2)
    last_contacted.update_last_contacted()
    assert set(LastContacted.objects.values_list("contact", flat=True)) == set(
        Message.objects.exclude(status=MessageStatus.FAILED).values_list("contact", flat=True)
    )
    assert Contact.objects.matching(Audience(last_contacted=LastContactedFilter("never"))).count() == 1
    run.refresh_from_db()
    assert (run.contacted_messages, run.contacted_to) == (3, 0)


def test_a_run_is_processed_again_only_after_new_messages_and_an_interval(run: Run) -> None:
    last_contacted.update_last_contacted()
    assert not last_contacted._outdated_runs().exists()
    Run.objects.filter(pk=run.pk).update(sent=3, delivered=1)
    assert not last_contacted._outdated_runs().exists()
    Run.objects.filter(pk=run.pk).update(finished_at="2026-01-01T01:00Z")
    assert last_contacted._outdated_runs().exists()


def test_an_interrupted_update_continues(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_contacted, "_BATCH", 2)
    assert last_contacted._update_batch(run)
    assert LastContacted.objects.count() == 2
    assert last_contacted._outdated_runs().exists()
    last_contacted.update_last_contacted()
    assert LastContacted.objects.count() == 3


def test_a_receipt_does_not_change_last_contacted(run: Run) -> None:
    message = Message.objects.get(status=MessageStatus.DELIVERED)
    Message.objects.filter(pk=message.pk).update(ended_at=now() - timedelta(days=2))
    last_contacted.update_last_contacted()
    assert LastContacted.objects.get(contact=message.contact_id).at < now() - timedelta(days=1)


def test_the_latest_message_counts(run: Run) -> None:
    last_contacted.update_last_contacted()
    first = LastContacted.objects.order_by("pk")[0]
    again = Run.objects.create(campaign=run.campaign, occurrence="2026-01-02T00:00Z", sent=1)
    Message.objects.create(run=again, contact=first.contact, status=MessageStatus.SENT, due_at=now())
    last_contacted.update_last_contacted()
    assert LastContacted.objects.get(pk=first.pk).at > first.at


@pytest.mark.parametrize("updated", [False, True])
@pytest.mark.parametrize(
    ("condition", "number"),
    [
        (LastContactedFilter("never"), 1),
        (LastContactedFilter("not_within", 1), 1),
        (LastContactedFilter("within", 1), 3),
        (LastContactedFilter("within", 30), 3),
    ],
)
def test_recipients_are_chosen_by_what_was_accepted_until_now(
    run: Run, alice: User, condition: LastContactedFilter, number: int, updated: bool
) -> None:
    if updated:
        last_contacted.update_last_contacted()
    campaign = factories.campaign(alice, text="Next", audience=Audience(last_contacted=condition))
    assert recipients(campaign).count() == number


def test_a_message_of_another_day_is_not_recent(run: Run, alice: User) -> None:
    Message.objects.update(changed_at=now() - timedelta(days=3))
    condition = LastContactedFilter("not_within", 1)
    campaign = factories.campaign(alice, text="Next", audience=Audience(last_contacted=condition))
    assert recipients(campaign).count() == 4
