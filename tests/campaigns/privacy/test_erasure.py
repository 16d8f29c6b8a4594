"""Erasure of a contact: no personal data is left in the database, and all figures stay."""

import re
from typing import Any
from urllib.parse import urlencode

import pytest
from django.apps import apps
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core.exceptions import PermissionDenied
from django.core.management import call_command
from django.utils.timezone import now
from pytest_django import Settings

from accounts.audit_log import history_of
from accounts.models import StoredAnswer, User
from accounts.webhooks.models import Delivery, EventType, Webhook
from campaigns import services
from campaigns.gateways.protocol import Incoming
from campaigns.messages.incoming import incoming_store
from campaigns.messages.transactional import message_send
from campaigns.models import Attempt, Message, Unsaved
from campaigns.planning.lifecycle import campaign_advance
from campaigns.sandbox.server import Sandbox
from campaigns.states import MessageStatus
from campaigns.statistics import campaign_statistics
from directory.bulk_actions.work import bulk_start
from directory.contacts.erasure import contact_erase
from directory.contacts.services import contact_create, contact_update
from directory.imports.models import Chunk, Import, ImportStatus
from directory.models import BulkActionType, Contact, LastContacted, Suppression
from directory.phones import phone_pattern
from directory.suppression.services import suppress
from project.http.errors import Conflict
from tests import factories
from tests.campaigns.browser_client import browser
from tests.campaigns.engine import send_everything
from tests.campaigns.outcomes import settle, started
from tests.conftest import ApiClient
from tests.directory.imports.helpers import draft, run

pytestmark = pytest.mark.django_db

PHONE = 79161234567
TRACES = re.compile(r"79161234567|1234567|123-45-67|123 45 67|Ипполит|Воробьянинов|Старгород")


def traces() -> set[str]:
    """The tables with personal data of the contact in any column, including binary ones and sessions."""
    return {
        model._meta.label
        for model in apps.get_models(include_auto_created=True)
        for row in model._base_manager.values()
        if TRACES.search(" ".join(map(readable, row.values())))
    } | {"sessions.Session" for row in Session.objects.all() if TRACES.search(str(row.get_decoded()))}


def readable(value: Any) -> str:
    """A column's value as searchable text."""
    if isinstance(value, bytes | memoryview):
        return bytes(value).decode("utf-8", "replace")
    return str(value)


@pytest.fixture
def person(alice: User) -> Contact:
    """A contact with traces everywhere: imported, changed, sent to, exported."""
    webhook = Webhook.objects.create(owner=alice, url="https://8.8.8.8/hook", events=EventType.values)
    client = ApiClient(alice)
    body = {"phone": str(PHONE), "first_name": "Ипполит", "tags": ["vip"], "attributes": {"city": "Старгород"}}
    answer: Any = client.post("/contacts", body, "application/json", headers={"Idempotency-Key": "once"})
    contact = Contact.objects.get(pk=answer.json()["id"])
    contact_update(contact=contact, by=alice, last_name="Воробьянинов")
    run(alice, "phone,first_name,city\n8 (916) 123-45-67,Ипполита,Старгород\n")
    run(factories.user(), "phone,first_name\n+7 916 123-45-67,Чужой Ипполит\n")
    _campaign, row = started(alice, contacts=1, text="Здравствуйте, {first_name} из города {city|нас}!")
    message = Message.objects.get(contact=contact)
    settle(row, 1, MessageStatus.FAILED, "http_400")
    Message.objects.filter(pk=message.pk).update(phone=PHONE, text="Здравствуйте, Ипполит")
    Attempt.objects.create(message=message, at=now(), reason="http_400", answer=f"No such subscriber: {PHONE}")
    message_send(owner=alice, phone=PHONE, text="Ваш код 4711, Ипполит")
    event = {"type": "message.failed", "timestamp": "", "data": {"phone": str(PHONE), "contact": contact.pk}}
    webhook.add_events([event])
    Delivery.objects.update(answer="Unknown number +7 (916) 123-45-67")
    StoredAnswer.objects.create(
        key="other", fingerprint="", status=422, body='{"detail": "8 916 123-45-67 is listed."}'
    )
    bulk_start(by=alice, kind=BulkActionType.TAG, tag="vip", filters={"q": "+7 916 123-45-67"})
    draft(alice, "phone,first_name\n8(916)123 45 67,Ипполит\n")
    session = SessionStore()
    session["_messages"] = f"+7 916 123-45-67 was added ({PHONE})."
    session.save()
    LastContacted.objects.create(contact=contact, at=now())
    incoming_store("probe", [Incoming("+7 916 123-45-67", "Я, Ипполит, больше не хочу")])
    contact.refresh_from_db()
    return contact


def test_no_personal_data_is_left_and_all_figures_stay(person: Contact, alice: User) -> None:
    assert len(traces()) >= 9
    campaign = Message.objects.filter(contact=person).earliest("pk").run.campaign
    before = campaign_statistics(campaign).by_status, Message.objects.count(), Contact.objects.count()
    contact_erase(contact=person, by=alice)
    assert traces() == set()
    assert (campaign_statistics(campaign).by_status, Message.objects.count(), Contact.objects.count()) == before
    call_command("verify_counters")
    (step,) = history_of(Contact.objects.get(pk=person.pk))
    assert step.by == alice
    contact_erase(contact=person, by=alice)  # repeating it changes nothing
    assert contact_create(owner=alice, phone=PHONE).pk != person.pk


@pytest.mark.parametrize("encoding", ["utf-8", "cp1251", "utf-16-le", "utf-16-be"])
def test_erasure_waits_for_a_running_import(person: Contact, alice: User, encoding: str) -> None:
    file = "x" * 100 + "\n+7 (916) 123-45-67\n"
    for border in range(150, 280, 7):
        row = Import.objects.create(owner=alice, name="late.csv", encoding=encoding, status=ImportStatus.RUNNING)
        content = file.encode(encoding)
        Chunk.objects.create(import_job=row, number=0, content=content[:border])
        Chunk.objects.create(import_job=row, number=1, content=content[border:])
        with pytest.raises(Conflict):
            contact_erase(contact=person, by=alice)
        row.delete()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        *((text, True) for text in ("79161234567", "+7 (916) 123-45-67", "8 916 123 45 67", "9161234567")),
        ("7.9161234567E+10", True),
        *((text, False) for text in ("779161234567", "791612345678", "7916123456", "7916 x 1234567")),
    ],
)
def test_a_phone_is_found_however_it_is_written(text: str, found: bool) -> None:
    assert bool(phone_pattern(PHONE).search(f"a;{text};b")) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        *((text, True) for text in ("491701234567", "+49 (170) 123-45-67", "+49 (0)170 1234567", "0170/1234567")),
        *((text, True) for text in ("01701234567", "0049 170 1234567", "170 1234567", "4.91701234567E+11")),
        *((text, False) for text in ("0170123456", "1491701234567", "4917012345678", "401701234567")),
    ],
)
def test_a_phone_of_another_country_is_found_too(text: str, found: bool) -> None:
    assert bool(phone_pattern(491701234567).search(f"a;{text};b")) == found


def test_unsaved_input_with_a_german_phone_is_erased_in_national_notation(settings: Settings, alice: User) -> None:
    settings.PHONE_COUNTRIES = ["DE"]
    contact = factories.contact(alice, phone=4930123456)
    campaigns = [factories.campaign(alice, name=name) for name in ("hers", "other")]
    for campaign, text in zip(campaigns, ("Call 030 / 12 34 56", "Call 14930123456"), strict=True):
        Unsaved.objects.create(user=alice, campaign=campaign, fields=urlencode({"name": "x", "text": text}))
    contact_erase(contact=contact, by=alice)
    assert [row.campaign for row in Unsaved.objects.all()] == campaigns[1:]


def test_a_phone_that_has_opted_out_stays_on_the_suppression_list_alone(person: Contact, alice: User) -> None:
    suppress([PHONE], by=alice, reason="Ипполит asked by phone")
    contact_erase(contact=person, by=alice)
    assert traces() == {"directory.Suppression"}
    assert (Suppression.objects.get().reason, Suppression.objects.get().by) == ("", None)
    assert contact_create(owner=alice, phone=PHONE).opted_out


def test_pending_and_retried_messages_are_never_sent(person: Contact, alice: User, sandbox: Sandbox) -> None:
    campaign = Message.objects.filter(contact=person).earliest("pk").run.campaign
    contact_erase(contact=person, by=alice)
    services.campaign_retry_failed(campaign=campaign, by=alice)
    campaign_advance(campaign.pk)
    send_everything(campaign, sandbox)
    assert {each.message.phone for each in sandbox.ledger.last}.isdisjoint({PHONE, -person.pk})
    assert not Message.objects.filter(contact=person, status__in=("sent", "sending")).exists()


def test_an_erased_contact_does_not_return(person: Contact, alice: User, admin: User) -> None:
    contact_erase(contact=person, by=admin)
    with pytest.raises(Conflict):
        contact_update(contact=person, by=alice, is_active=True)
    bulk_start(by=alice, kind=BulkActionType.REACTIVATE, ids=[person.pk])
    assert not Contact.objects.get(pk=person.pk).is_active


def test_erasure_needs_permission_and_no_message_being_sent(person: Contact, alice: User, bob: User) -> None:
    with pytest.raises(PermissionDenied):
        contact_erase(contact=person, by=bob)
    Message.objects.filter(contact=person).update(status=MessageStatus.SENDING)
    with pytest.raises(Conflict):
        contact_erase(contact=person, by=alice)
    answer: Any = ApiClient(alice).post(f"/contacts/{person.pk}/erase")
    assert answer.status_code == 409
    assert "being sent right now" in browser(alice).post(f"/contacts/{person.pk}/erase/", follow=True).content.decode()
    assert traces()


def test_the_page_explains_what_remains(person: Contact, alice: User) -> None:
    client = browser(alice)
    assert "Erase permanently" in client.get(f"/contacts/{person.pk}/").content.decode()
    assert client.post(f"/contacts/{person.pk}/erase/")["Location"] == "/contacts/"
    page = client.get(f"/contacts/{person.pk}/").content.decode()
    assert "This person’s data was erased" in page
    assert not TRACES.search(page)
    assert "Edit" not in page
    assert client.get(f"/contacts/{person.pk}/edit/").status_code == 404
    assert client.get(f"/campaigns/to/{person.pk}/").status_code == 200
    for address in ("/contacts/?state=all", "/contacts/export.csv?state=all", "/campaigns/"):
        answer: Any = client.get(address)
        assert not TRACES.search(answer.getvalue().decode())
