"""Incoming messages: stored once, with their contact, and removed with it."""

import logging
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
import time_machine
from django.core.management import call_command
from django_q.models import OrmQ
from pytest_django import Settings

from accounts.models import User
from campaigns.gateways.protocol import Incoming
from campaigns.messages.incoming import incoming_from, incoming_store
from campaigns.models import IncomingMessage
from campaigns.privacy.retention import forget_messages, hint_forget
from directory.contacts.erasure import contact_erase
from directory.models import Contact
from project.core.clock import now
from tests import factories
from tests.campaigns.engine import hints
from tests.conftest import ApiClient

pytestmark = pytest.mark.django_db

PHONE = 79161234567
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


def stored(*incoming: Incoming, gateway: str = "probe", at: datetime = NOON) -> int:
    """Store messages at that time; return how many rows there are afterwards."""
    with time_machine.travel(at, tick=False):
        assert incoming_store(gateway, incoming) == len(incoming)
    return IncomingMessage.objects.count()


@pytest.mark.parametrize(
    ("sender", "phone"),
    [
        *((text, PHONE) for text in ("79161234567", "+79161234567", "8 (916) 123-45-67")),
        ("+905321234567", 905321234567),
        *((text, None) for text in ("Bank", "4711", "", "\0", "٣" * 11, "9" * 30)),
    ],
)
def test_the_phone_is_read_as_people_and_providers_write_it(sender: str, phone: int | None) -> None:
    stored(Incoming(sender, "Yes"))
    assert IncomingMessage.objects.get().phone == phone


def test_the_contact_is_the_one_with_the_phone(alice: User) -> None:
    contact = factories.contact(alice, phone=PHONE)
    stored(Incoming("79161234567", "Yes"), Incoming("79167654321", "No"))
    assert list(IncomingMessage.objects.order_by("pk").values_list("contact", flat=True)) == [contact.pk, None]


def test_a_message_that_is_reported_again_is_stored_once() -> None:
    message = Incoming("79161234567", "Yes", "i-1")
    assert stored(message, message) == 1
    assert stored(message, at=NOON + timedelta(days=9)) == 1
    assert stored(message._replace(provider_id="i-2")) == 2
    assert stored(message, gateway="other") == 3


@pytest.mark.parametrize("later", [timedelta(0), timedelta(hours=11), timedelta(hours=13), timedelta(hours=23.9)])
def test_without_an_id_the_same_contents_within_a_day_are_one_message(later: timedelta) -> None:
    message = Incoming("79161234567", "Yes", recipient="4711", sent_at=NOON)
    assert stored(message, message) == 1
    assert stored(message, at=NOON + later) == 1
    others = (message._replace(text="No"), message._replace(recipient="1"), message._replace(text="", sent_at=None))
    assert stored(*others, at=NOON + later) == 4


def test_without_id_and_time_only_the_latest_message_of_a_phone_is_a_repeat() -> None:
    stop, start = Incoming("79161234567", "STOP"), Incoming("79161234567", "START")
    assert stored(stop, stop, start, stop) == 3
    assert stored(stop, at=NOON + timedelta(hours=1)) == 3
    assert stored(start, at=NOON + timedelta(hours=2)) == 4
    assert stored(stop, at=NOON + timedelta(hours=3)) == 5
    assert stored(Incoming("79161234568", "STOP"), at=NOON + timedelta(hours=3)) == 6


def test_without_an_id_the_same_contents_a_day_later_are_another_message() -> None:
    message = Incoming("79161234567", "Yes")
    assert stored(message) == 1
    assert stored(message, at=NOON + timedelta(hours=24.1)) == 2


def test_strange_values_are_stored_as_far_as_possible() -> None:
    strange = Incoming("x" * 99, "a\0b\ud800☃", "i" * 500, "y\0" * 99, datetime(1, 1, 1, tzinfo=UTC))
    assert stored(strange, strange) == 1
    row = IncomingMessage.objects.get()
    assert (row.text, row.sent_at, len(row.sender), len(row.provider_id)) == ("a�b?☃", None, 40, 100)


def test_neither_text_nor_phone_is_logged(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    with caplog.at_level(logging.DEBUG):
        stored(Incoming("79161234567", "Very private"))
    logged = caplog.text + "".join(capsys.readouterr())
    assert "private" not in logged
    assert "1234567" not in logged


def test_erasure_removes_all_messages_of_the_phone(alice: User) -> None:
    stored(Incoming("79161234567", "Before"))
    contact = factories.contact(alice, phone=PHONE)
    stored(Incoming("79161234567", "After"), Incoming("79167654321", "Other"))
    data = ApiClient(alice).get(f"/contacts/{contact.pk}/data").json()
    assert [row["text"] for row in data["incoming"]] == ["After", "Before"]
    contact_erase(contact=contact, by=alice)
    assert [row.text for row in IncomingMessage.objects.all()] == ["Other"]
    assert not incoming_from(Contact.objects.get(pk=contact.pk)).exists()


def test_a_contact_that_is_removed_leaves_its_messages(alice: User) -> None:
    contact = factories.contact(alice, phone=PHONE)
    stored(Incoming("79161234567", "Yes"))
    contact.delete()
    assert IncomingMessage.objects.get().contact is None


def test_retention_removes_old_messages(settings: Settings) -> None:
    stored(Incoming("79161234567", "Old"), at=now() - timedelta(days=40))
    stored(Incoming("79161234567", "New"), at=now())
    output = StringIO()
    call_command("forget_messages", older_than=50, stdout=output)
    assert output.getvalue() == "0 messages removed.\n"
    settings.MESSAGE_RETENTION_DAYS = 30
    hint_forget()
    assert hints("campaigns.tasks.forget_messages") == 1
    OrmQ.objects.all().delete()  # a worker that runs a task has taken it
    forget_messages()
    assert [row.text for row in IncomingMessage.objects.all()] == ["New"]
