"""A person is erased: nothing anywhere in the database tells of them, and every figure is as it was."""

import re
from typing import Any

import pytest
from django.apps import apps
from django.core.exceptions import PermissionDenied
from django.core.management import call_command
from django.utils.timezone import now

from accounts.history import history_of
from accounts.models import User
from accounts.webhooks.models import EventType, Webhook
from campaigns import services
from campaigns.direct import message_send
from campaigns.lifecycle import campaign_advance
from campaigns.models import Attempt, Message
from campaigns.sandbox.server import Sandbox
from campaigns.states import MessageStatus
from campaigns.statistics import campaign_statistics
from directory.bulk import bulk_start
from directory.erasure import contact_erase
from directory.models import Contact, Deed, LastWritten, Suppression
from directory.services import contact_create, contact_update
from directory.suppression import suppress
from project.http import Conflict
from tests import factories
from tests.campaigns.engine import send_everything
from tests.campaigns.outcomes import settle, started
from tests.campaigns.pages import browser
from tests.conftest import ApiClient
from tests.directory.imports.helpers import run

pytestmark = pytest.mark.django_db

PHONE = 79161234567
TRACES = re.compile(r"79161234567|1234567|123-45-67|Ипполит|Воробьянинов|Старгород")


def traces() -> set[str]:
    """The tables in which anything of the person stands."""
    return {
        model._meta.label
        for model in apps.get_models(include_auto_created=True)
        for row in model._base_manager.values()
        if TRACES.search(str(row))
    }


@pytest.fixture
def person(alice: User) -> Contact:
    """Somebody of whom much is known: imported, changed, written to, told of."""
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
    webhook.tell([event])
    LastWritten.objects.create(contact=contact, at=now())
    contact.refresh_from_db()
    return contact


def test_nothing_tells_of_the_person_and_all_figures_stay(person: Contact, alice: User) -> None:
    assert len(traces()) >= 8
    campaign = Message.objects.filter(contact=person).earliest("pk").run.campaign
    before = campaign_statistics(campaign).by_status, Message.objects.count(), Contact.objects.count()
    contact_erase(contact=person, by=alice)
    assert traces() == set()
    assert (campaign_statistics(campaign).by_status, Message.objects.count(), Contact.objects.count()) == before
    call_command("verify_counters")
    (step,) = history_of(Contact.objects.get(pk=person.pk))
    assert step.by == alice
    contact_erase(contact=person, by=alice)  # again is nothing
    assert contact_create(owner=alice, phone=PHONE).pk != person.pk


def test_a_phone_that_has_opted_out_stays_on_the_suppression_list_alone(person: Contact, alice: User) -> None:
    suppress([PHONE], by=alice, reason="Ипполит asked by phone")
    contact_erase(contact=person, by=alice)
    assert traces() == {"directory.Suppression"}
    assert (Suppression.objects.get().reason, Suppression.objects.get().by) == ("", None)
    assert contact_create(owner=alice, phone=PHONE).opted_out


def test_what_waits_or_is_tried_again_never_leaves(person: Contact, alice: User, sandbox: Sandbox) -> None:
    campaign = Message.objects.filter(contact=person).earliest("pk").run.campaign
    contact_erase(contact=person, by=alice)
    services.campaign_retry_failed(campaign=campaign, by=alice)
    campaign_advance(campaign.pk)
    send_everything(campaign, sandbox)
    assert {each.message.phone for each in sandbox.ledger.last}.isdisjoint({PHONE, -person.pk})
    assert not Message.objects.filter(contact=person, status__in=("sent", "sending")).exists()


def test_nobody_comes_back(person: Contact, alice: User, admin: User) -> None:
    contact_erase(contact=person, by=admin)
    with pytest.raises(Conflict):
        contact_update(contact=person, by=alice, is_active=True)
    bulk_start(by=alice, deed=Deed.REACTIVATE, ids=[person.pk])
    assert not Contact.objects.get(pk=person.pk).is_active


def test_only_who_may_and_not_while_a_message_leaves(person: Contact, alice: User, bob: User) -> None:
    with pytest.raises(PermissionDenied):
        contact_erase(contact=person, by=bob)
    Message.objects.filter(contact=person).update(status=MessageStatus.SENDING)
    with pytest.raises(Conflict):
        contact_erase(contact=person, by=alice)
    answer: Any = ApiClient(alice).post(f"/contacts/{person.pk}/erase")
    assert answer.status_code == 409
    assert "leaving just now" in browser(alice).post(f"/contacts/{person.pk}/erase/", follow=True).content.decode()
    assert traces()


def test_the_page_says_what_is_left(person: Contact, alice: User) -> None:
    client = browser(alice)
    assert "Erase for good" in client.get(f"/contacts/{person.pk}/").content.decode()
    assert client.post(f"/contacts/{person.pk}/erase/")["Location"] == "/contacts/"
    page = client.get(f"/contacts/{person.pk}/").content.decode()
    assert "The person was erased" in page
    assert not TRACES.search(page)
    assert "Edit" not in page
    assert client.get(f"/contacts/{person.pk}/edit/").status_code == 404
    assert client.get(f"/campaigns/to/{person.pk}/").status_code == 200
    for address in ("/contacts/?state=all", "/contacts/export.csv?state=all", "/campaigns/"):
        answer: Any = client.get(address)
        assert not TRACES.search(answer.getvalue().decode())
