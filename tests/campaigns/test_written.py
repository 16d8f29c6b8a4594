from datetime import timedelta

import pytest
from django.utils.timezone import now

from accounts.models import User
from campaigns import written
from campaigns.models import Message, Run
from campaigns.states import MessageStatus
from directory.audience import Audience, Written
from directory.models import Contact, LastWritten
from tests import factories


@pytest.fixture
def run(alice: User) -> Run:
    """Three accepted messages and one that failed."""
    row = Run.objects.create(campaign=factories.campaign(alice), occurrence="2026-01-01T00:00Z", sent=3, failed=1)
    for status in (*[MessageStatus.SENT] * 2, MessageStatus.DELIVERED, MessageStatus.FAILED):
        Message.objects.create(run=row, contact=factories.contact(alice), status=status, due_at=now())
    return row


def test_who_was_written_to_is_noted_in_batches(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(written, "_BATCH", 2)
    written.note_written()
    assert set(LastWritten.objects.values_list("contact", flat=True)) == set(
        Message.objects.exclude(status=MessageStatus.FAILED).values_list("contact", flat=True)
    )
    assert Contact.objects.matching(Audience(written=Written("never"))).count() == 1
    run.refresh_from_db()
    assert (run.noted, run.noted_to) == (3, 0)


def test_a_run_is_gone_through_again_only_when_more_was_accepted_and_a_while_has_passed(run: Run) -> None:
    written.note_written()
    assert not written._to_note().exists()
    Run.objects.filter(pk=run.pk).update(sent=3, delivered=1)
    assert not written._to_note().exists()
    Run.objects.filter(pk=run.pk).update(finished_at="2026-01-01T01:00Z")
    assert written._to_note().exists()


def test_what_was_interrupted_goes_on_where_it_was(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(written, "_BATCH", 2)
    assert written._note(run)
    assert LastWritten.objects.count() == 2
    assert written._to_note().exists()
    written.note_written()
    assert LastWritten.objects.count() == 3


def test_a_receipt_is_no_message(run: Run) -> None:
    message = Message.objects.get(status=MessageStatus.DELIVERED)
    Message.objects.filter(pk=message.pk).update(ended_at=now() - timedelta(days=2))
    written.note_written()
    assert LastWritten.objects.get(contact=message.contact_id).at < now() - timedelta(days=1)


def test_the_latest_message_counts(run: Run) -> None:
    written.note_written()
    first = LastWritten.objects.order_by("pk")[0]
    again = Run.objects.create(campaign=run.campaign, occurrence="2026-01-02T00:00Z", sent=1)
    Message.objects.create(run=again, contact=first.contact, status=MessageStatus.SENT, due_at=now())
    written.note_written()
    assert LastWritten.objects.get(pk=first.pk).at > first.at
