"""`GET /contacts/{id}/timeline`: everything that happened with a contact, newest first."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from accounts.models import User
from campaigns.gateways.protocol import Incoming
from campaigns.messages.incoming import incoming_store
from campaigns.messages.receipts import apply_receipts
from campaigns.messages.transactional import message_send
from campaigns.models import IncomingMessage, Message
from campaigns.states import MessageStatus
from directory.contacts.services import contact_update
from directory.models import Contact, Source
from tests import factories
from tests.campaigns.outcomes import settle, started
from tests.conftest import ApiClient
from tests.directory.imports.helpers import run as run_import

pytestmark = pytest.mark.django_db

PHONE = 79161234567
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


def shown(user: User, contact: Contact, **query: Any) -> dict[str, Any]:
    answer = ApiClient(user).get(f"/contacts/{contact.pk}/timeline", query)
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def kinds(user: User, contact: Contact) -> list[str]:
    return [item["kind"] for item in shown(user, contact)["items"]]


def receive(text: str, phone: int = PHONE) -> None:
    incoming_store("probe", [Incoming(str(phone), text, f"i-{IncomingMessage.objects.count()}")])
    apply_receipts()


def test_everything_is_shown_newest_first(alice: User, admin: User) -> None:
    moments = (NOON + timedelta(hours=hours) for hours in range(10))
    with time_machine.travel(next(moments), tick=False):
        contact = factories.contact(alice, phone=PHONE)
    with time_machine.travel(next(moments), tick=False):
        campaign, run = started(alice)
        settle(run, 1, MessageStatus.SENT)
    with time_machine.travel(next(moments), tick=False):
        receive("Hello")
    with time_machine.travel(next(moments), tick=False):
        contact = contact_update(contact=contact, by=alice, source=Source.API, first_name="Anna")
    with time_machine.travel(next(moments), tick=False):
        receive("STOP")
    with time_machine.travel(next(moments), tick=False):
        assert ApiClient(admin).delete(f"/suppressions/{PHONE}").status_code == 204
    items = shown(admin, contact)["items"]
    assert [item["kind"] for item in items] == [
        *("opted_in", "incoming", "message", "opted_out", "changed", "incoming", "message", "added")
    ]
    assert items[0]["by"] == admin.pk
    assert items[1]["incoming"]["action"] == "stop"
    assert (items[2]["message"]["campaign"], items[2]["by"]) == (None, admin.pk)
    assert items[3]["by"] is None
    assert items[4]["changes"]["first_name"] == {"old": "", "new": "Anna"}
    assert items[6]["message"]["campaign"] == campaign.pk
    assert items[7]["by"] == alice.pk


def test_texts_are_for_who_has_written_to_the_contact(alice: User, bob: User, admin: User) -> None:
    contact = factories.contact(alice, phone=PHONE)
    message = message_send(owner=alice, phone=PHONE, text="Your code")
    Message.objects.filter(pk=message.pk).update(status=MessageStatus.SENT)
    receive("Thanks")
    for user, texts in ((alice, ["Thanks", "Your code"]), (admin, ["Thanks", "Your code"]), (bob, [None, None])):
        incoming, sent, _added = shown(user, contact)["items"]
        assert [incoming["incoming"]["text"], sent["message"]["text"]] == texts
    Message.objects.filter(pk=message_send(owner=bob, phone=PHONE, text="Mine").pk).update(status=MessageStatus.SENT)
    found = {item["message"]["text"] for item in shown(bob, contact)["items"] if item["message"]}
    assert found == {"Mine", None}, "texts of others stay hidden from who has only written, too"
    assert [item["incoming"]["text"] for item in shown(bob, contact)["items"] if item["incoming"]] == ["Thanks"]


def test_an_import_is_named(alice: User) -> None:
    job = run_import(alice, f"phone\n{PHONE}\n")
    (item,) = shown(alice, Contact.objects.get())["items"]
    assert (item["kind"], item["import_id"]) == ("added", job.pk)


def test_messages_from_another_phone_of_the_contact_and_before_it_was_one_are_shown_once(alice: User) -> None:
    receive("Before")
    contact = factories.contact(alice, phone=PHONE)
    receive("After")
    contact_update(contact=contact, by=alice, source=Source.API, phone="79167654321")
    receive("New", phone=79167654321)
    contact.refresh_from_db()
    assert kinds(alice, contact).count("incoming") == 2
    contact_update(contact=contact, by=alice, source=Source.API, phone=str(PHONE))
    contact.refresh_from_db()
    assert kinds(alice, contact).count("incoming") == 3


@pytest.mark.parametrize("limit", [1, 2, 3, 500])
def test_pages_follow_each_other_also_at_the_same_time(alice: User, limit: int) -> None:
    with time_machine.travel(NOON, tick=False):
        contact = factories.contact(alice, phone=PHONE)
        for number in range(3):
            message_send(owner=alice, phone=PHONE, text=str(number))
            receive(f"Answer {number}")
            contact = contact_update(contact=contact, by=alice, source=Source.API, first_name="ABC"[number])
    found, cursor = list[dict[str, Any]](), None
    while page := shown(alice, contact, limit=limit, **({"cursor": cursor} if cursor else {})):
        found += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    assert found == shown(alice, contact)["items"]
    assert len(found) == 10


@pytest.mark.parametrize(
    "cursor",
    [
        *("x", "2026-11-30T12:00:00Z", "2026-11-30T12:00:00,1,1", "2026-99-30T12:00:00Z,1,1"),
        *(f"2026-11-30T12:00:00Z,1,{2**63}", "2026-11-30T12:00:00Z,٣,1", "2026-11-30T12:00:00Z,1,"),
    ],
)
def test_another_cursor_is_refused(alice: User, cursor: str) -> None:
    contact = factories.contact(alice)
    assert ApiClient(alice).get(f"/contacts/{contact.pk}/timeline", {"cursor": cursor}).status_code == 422


def test_there_is_none_of_an_unknown_contact(alice: User) -> None:
    assert ApiClient(alice).get("/contacts/999/timeline").status_code == 404
