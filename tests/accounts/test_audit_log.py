import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from accounts.audit_log import Change, history_of, record
from accounts.models import User
from campaigns.models import Campaign, Message, Run
from directory.models import Contact
from tests import factories
from tests.conftest import ApiClient


def test_a_change_by_page_names_its_user_and_both_values(client: Client, alice: User) -> None:
    client.force_login(alice)
    client.post("/contacts/new/", {"phone": "+79991234567", "first_name": "Анна", "tags": "vip"})
    contact = Contact.objects.get()
    client.post(f"/contacts/{contact.pk}/edit/", {"phone": "+79991234567", "first_name": "Мария", "tags": "new"})
    removed, added, renamed, *_, created = history_of(contact)
    steps = (removed, added, renamed, created)
    assert {step.by for step in steps} == {alice}
    assert created.created
    assert renamed.changes == [("first name", Change("Анна", "Мария"))]
    assert sorted([*removed.removed, *added.removed, *removed.added, *added.added]) == ["new", "vip"]
    page = client.get(f"/contacts/{contact.pk}/").content.decode()
    assert "<del>Анна</del>" in page
    assert "<ins>Мария</ins>" in page


def test_values_are_shown_in_readable_form(alice: User) -> None:
    contact = factories.contact(alice)
    contact.is_active = False
    contact.save()
    assert history_of(contact)[0].changes == [("active", Change("yes", "no"))]
    campaign = factories.campaign(alice, draft=True)
    campaign.repeat = "daily"
    campaign.save()
    assert history_of(campaign)[0].changes == [("repeat", Change("Once", "Every day"))]


def test_a_change_by_token_names_its_user(alice: User) -> None:
    contact = factories.contact(alice)
    ApiClient(alice).patch(f"/contacts/{contact.pk}", {"last_name": "Ким"}, content_type="application/json")
    assert history_of(contact)[0].by == alice
    campaign = factories.campaign(alice)
    ApiClient(alice).patch(f"/campaigns/{campaign.pk}", {"name": "Other"}, content_type="application/json")
    step = history_of(campaign)[0]
    assert (step.by, step.changes[0][1].new) == (alice, "Other")


def test_automatic_changes_of_campaigns_are_not_recorded(alice: User) -> None:
    campaign = factories.campaign(alice)
    before = len(history_of(campaign))
    Campaign.objects.filter(pk=campaign.pk).update(status="running")
    assert len(history_of(campaign)) == before


@pytest.mark.parametrize("number", [1, 50])
def test_many_changes_are_recorded_by_one_statement(alice: User, number: int) -> None:
    ids = [factories.contact(alice).pk for _ in range(number)]
    record(Contact, ids[:1], alice, {"is_active": Change(True, False)})  # caches the content type
    with CaptureQueriesContext(connection) as queries:
        record(Contact, ids, alice, {"is_active": Change(True, False)})
    assert len([query for query in queries if query["sql"].startswith("INSERT")]) == 1


def test_the_campaigns_page_shows_who_changed_it(client: Client, alice: User) -> None:
    client.force_login(alice)
    campaign = factories.campaign(alice, draft=True)
    client.post(f"/campaigns/{campaign.pk}/launch/")
    page = client.get(f"/campaigns/{campaign.pk}/").content.decode()
    assert "Changes" in page
    assert "Alice" in page


def test_contact_page_lists_messages_of_visible_campaigns_only(
    client: Client, alice: User, bob: User, admin: User
) -> None:
    contact = factories.contact(bob)
    for owner in (alice, bob):
        campaign = factories.campaign(owner, name=f"Of {owner.first_name}")
        run = Run.objects.create(campaign=campaign, occurrence="2026-01-01T00:00Z")
        Message.objects.create(run=run, contact=contact, text="Hello", status="sent", due_at=now())
    address = f"/campaigns/to/{contact.pk}/"
    for user, names in ((alice, {"Of Alice"}), (bob, {"Of Bob"}), (admin, {"Of Alice", "Of Bob"})):
        client.force_login(user)
        shown = client.get(address, headers={"HX-Request": "true"}).content.decode()
        assert {name for name in ("Of Alice", "Of Bob") if name in shown} == names
        assert "<html" not in shown
        assert "<html" in client.get(address).content.decode()
    assert client.get("/campaigns/to/0/").status_code == 404
