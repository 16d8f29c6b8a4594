"""`GET /inbound`: incoming messages, newest first, whose text is for those who have written to the phone."""

from datetime import timedelta
from typing import Any

import pytest

from accounts.models import User
from campaigns.gateways.protocol import Incoming
from campaigns.messages.incoming import incoming_store
from campaigns.messages.receipts import apply_receipts
from campaigns.messages.transactional import message_send
from campaigns.models import IncomingMessage, Message
from campaigns.states import MessageStatus
from project.core.clock import now
from tests import factories
from tests.campaigns.outcomes import settle, started
from tests.conftest import ApiClient

pytestmark = pytest.mark.django_db

PHONE, STRANGER = 79161234567, 79167654321


def listed(user: User, **query: Any) -> list[dict[str, Any]]:
    answer = ApiClient(user).get("/inbound", query)
    assert answer.status_code == 200, answer.content
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def texts(user: User) -> dict[str, str | None]:
    return {item["phone"]: item["text"] for item in listed(user)}


def receive(*phones: int | str) -> None:
    incoming_store("probe", [Incoming(str(phone), f"From {phone}") for phone in phones])


def test_everything_about_a_message_is_shown(admin: User) -> None:
    contact = factories.contact(admin, phone=PHONE)
    incoming_store("probe", [Incoming("+7 916 123-45-67", "Yes", "i-1", "4711", now())])
    (item,) = listed(admin)
    row = IncomingMessage.objects.get()
    assert item.pop("sent_at")
    assert item.pop("received_at")
    assert item == {
        "id": row.pk,
        "gateway": "probe",
        "phone": str(PHONE),
        "sender": "+7 916 123-45-67",
        "contact": contact.pk,
        "recipient": "4711",
        "text": "Yes",
        "action": "",
    }


def test_it_is_shown_what_a_message_asked_for(admin: User) -> None:
    incoming_store("probe", [Incoming(str(PHONE), text) for text in ("Стоп!", "START", "help", "Hello")])
    assert {item["action"] for item in listed(admin)} == {""}
    apply_receipts()
    assert [item["action"] for item in listed(admin)] == ["", "help", "start", "stop"]


def test_the_text_is_for_administrators_and_who_has_written_to_the_contact(alice: User, bob: User, admin: User) -> None:
    _campaign, run = started(alice, contacts=1)
    phone = alice.contacts.get().phone
    receive(phone, STRANGER)
    hidden = {str(phone): None, str(STRANGER): None}
    assert texts(alice) == texts(bob) == hidden, "a message that is only planned shows nothing"
    settle(run, 1, MessageStatus.SENT)
    assert texts(alice) == {**hidden, str(phone): f"From {phone}"}
    assert texts(bob) == hidden
    assert texts(admin) == {str(number): f"From {number}" for number in (phone, STRANGER)}


def test_the_text_is_for_who_has_sent_a_transactional_message(alice: User, bob: User) -> None:
    receive(PHONE)
    message = message_send(owner=alice, phone=PHONE, text="Your code")
    assert texts(alice) == {str(PHONE): None}
    Message.objects.filter(pk=message.pk).update(status=MessageStatus.SENT)
    assert (texts(alice), texts(bob)) == ({str(PHONE): f"From {PHONE}"}, {str(PHONE): None})


def test_the_list_is_narrowed_by_phone_and_time(admin: User) -> None:
    receive(PHONE, STRANGER, "Bank")
    IncomingMessage.objects.filter(phone=PHONE).update(received_at=now() - timedelta(days=2))
    assert [item["sender"] for item in listed(admin, phone="8 916 123-45-67")] == [str(PHONE)]
    since = (now() - timedelta(days=1)).isoformat()
    assert [item["sender"] for item in listed(admin, since=since)] == ["Bank", str(STRANGER)]
    assert ApiClient(admin).get("/inbound", {"since": "yesterday"}).status_code == 422


def test_pages_follow_each_other(admin: User) -> None:
    receive(PHONE, STRANGER, "Bank")
    first = ApiClient(admin).get("/inbound", {"limit": 2}).json()
    last = ApiClient(admin).get("/inbound", {"limit": 2, "cursor": first["next"]}).json()
    assert [item["sender"] for item in first["items"] + last["items"]] == ["Bank", str(STRANGER), str(PHONE)]
    assert last["next"] is None
