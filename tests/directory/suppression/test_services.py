from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils.timezone import now

from accounts.audit_log import history_of
from accounts.models import User
from campaigns.messages import transactional
from directory.contacts.erasure import contact_erase
from directory.contacts.services import contact_create, contact_update
from directory.contacts.upsert import Policy, contacts_restore, contacts_upsert
from directory.models import Contact, Source, Suppression
from directory.suppression.services import blocked_phones, release, suppress, sync_opt_outs
from tests import factories
from tests.conftest import ApiClient

PHONE = 79991234567
LIST = "/contacts/suppression/"


@pytest.fixture
def site(alice: User) -> Client:
    client = Client()
    client.force_login(alice)
    return client


def test_suppressing_a_phone_opts_out_its_contact(alice: User, bob: User) -> None:
    contact = factories.contact(bob, phone=PHONE)
    assert suppress([PHONE, PHONE], by=alice, reason="asked by phone") == 1
    row = Contact.objects.get(pk=contact.pk)
    assert row.opted_out
    assert row.updated_at > contact.updated_at
    listed = Suppression.objects.get()
    assert (listed.phone, listed.reason, listed.source, listed.by) == (PHONE, "asked by phone", Source.PERSON, alice)
    assert history_of(row)[0].by == alice


def test_an_erased_contact_has_no_phone_to_suppress(alice: User) -> None:
    erased = factories.contact(alice)
    contact_erase(contact=erased, by=alice)
    erased.refresh_from_db()
    assert suppress([erased.phone], by=alice) == 0
    assert not Suppression.objects.exists()


def test_first_entry_of_a_phone_stays(alice: User, bob: User) -> None:
    suppress([PHONE], by=alice, source=Source.REPLY, reason="STOP")
    assert suppress([PHONE], by=bob, source=Source.IMPORT) == 0
    assert Suppression.objects.get().reason == "STOP"


def test_opt_out_of_a_contact_updates_the_list_both_ways(alice: User) -> None:
    contact = contact_create(owner=alice, phone=PHONE, opted_out=True, source=Source.API)
    assert Suppression.objects.get().source == Source.API
    contact_update(contact=contact, by=alice, opted_out=False)
    assert not Suppression.objects.exists()
    assert not Contact.objects.get().opted_out


def test_contact_added_with_a_suppressed_phone_is_opted_out(alice: User) -> None:
    suppress([PHONE], by=alice)
    assert contact_create(owner=alice, phone=PHONE, opted_out=False).opted_out
    assert Suppression.objects.exists()


def test_a_new_phone_that_is_on_the_list_opts_out(alice: User) -> None:
    suppress([PHONE], by=alice)
    contact = factories.contact(alice)
    assert contact_update(contact=contact, by=alice, phone=PHONE).opted_out


def test_bulk_writes_agree_with_the_list(alice: User) -> None:
    suppress([PHONE], by=alice)
    phones = ((PHONE, False), (PHONE + 1, True))
    rows = [Contact(owner=alice, phone=phone, operator_code="999", opted_out=out) for phone, out in phones]
    Contact.objects.bulk_create(rows)
    sync_opt_outs([PHONE, PHONE + 1], opted_out=[PHONE + 1], by=alice, source=Source.IMPORT)
    assert Contact.objects.get(phone=PHONE).opted_out
    assert Suppression.objects.get(phone=PHONE + 1).source == Source.IMPORT


def test_only_owner_and_administrators_release_a_phone(alice: User, bob: User, admin: User) -> None:
    suppress([PHONE, PHONE + 1], by=alice)
    factories.contact(bob, phone=PHONE)
    with pytest.raises(PermissionDenied):
        release(PHONE, by=bob)
    release(PHONE, by=alice)
    release(PHONE + 1, by=admin)
    assert not Suppression.objects.exists()


def test_suppressed_phone_without_contact_gets_no_message(alice: User) -> None:
    suppress([PHONE], by=alice)
    assert blocked_phones([PHONE, PHONE + 1]) == {PHONE}
    with pytest.raises(ValidationError):
        transactional.message_send(owner=alice, phone=PHONE, text="Hi")


def test_phones_are_added_by_hand_and_file_and_invalid_ones_reported(site: Client) -> None:
    file = SimpleUploadedFile("list.csv", "\ufeffphone;name\n8 999 123-45-67;Anna\n\nrubbish\n".encode())
    answer = site.post(LIST, {"phones": "+7 903 555-01-12", "file": file, "reason": "law"})
    shown = answer.content.decode()
    assert "2 lines have no phone number" in shown
    assert "4: rubbish" in shown
    assert set(Suppression.objects.values_list("phone", "reason")) == {(PHONE, "law"), (79035550112, "law")}


def test_the_list_is_searched_by_part_of_a_phone_and_exported_as_it_can_be_imported(site: Client, alice: User) -> None:
    suppress([PHONE, 79035550112], by=alice)
    found = site.get(LIST, {"q": "8 999 123"}).content.decode()
    assert "+7 999 123-45-67" in found
    assert "+7 903 555-01-12" not in found
    exported = b"".join(site.get(f"{LIST}export/").streaming_content)  # type: ignore[attr-defined]
    Suppression.objects.all().delete()
    site.post(LIST, {"file": SimpleUploadedFile("suppression.txt", exported)})
    assert Suppression.objects.count() == 2


def test_removal_is_offered_only_to_those_who_may(site: Client, alice: User, bob: User) -> None:
    suppress([PHONE], by=alice)
    suppress([79035550112], by=bob)
    shown = site.get(LIST).content.decode()
    assert f"{LIST}{PHONE}/" in shown
    assert f"{LIST}79035550112/" not in shown


def test_releasing_a_phone_requires_confirmation(site: Client, alice: User) -> None:
    suppress([PHONE], by=alice)
    site.post(f"{LIST}{PHONE}/", {})
    assert Suppression.objects.exists()
    assert site.post(f"{LIST}{PHONE}/", {"sure": "on"}).status_code == 302
    assert not Suppression.objects.exists()


@pytest.mark.parametrize(
    "sent", [{}, {"phones": " "}, {"phones": "\0"}, {"phones": "x" * 200_000}, {"reason": "\0"}], ids=str
)
def test_invalid_input_shows_a_field_error(site: Client, sent: Any) -> None:
    assert site.post(LIST, sent).status_code in {200, 422}
    for address in ("?q=%00", "?cursor=x", "?q=" + "9" * 500, "?cursor=[1,2]"):
        assert site.get(LIST + address).status_code == 200
    for phone in ("0", "9" * 30):
        assert site.get(f"{LIST}{phone}/").status_code == 404
    assert not Suppression.objects.exists()


@pytest.mark.parametrize("text", ["%", "_", "!", "abc", "12 !"])
def test_punctuation_matches_no_phone(site: Client, alice: User, text: str) -> None:
    suppress([79035550112], by=alice)
    assert "+7 903 555-01-12" in site.get(LIST, {"q": "555"}).content.decode()
    assert "+7 903 555-01-12" not in site.get(LIST, {"q": text}).content.decode()


def test_the_export_takes_no_filter(site: Client) -> None:
    assert site.get(f"{LIST}export/?source=manual").status_code == 400


def is_out(phone: int = PHONE) -> bool:
    """Whether list and contact both say opted out."""
    return Suppression.objects.filter(phone=phone).exists() and Contact.objects.get(phone=phone).opted_out


def test_contact_owner_cannot_release_a_phone_listed_by_another_user(alice: User, bob: User) -> None:
    suppress([PHONE], by=alice)
    api = ApiClient(bob)
    assert api.post("/contacts", {"phone": str(PHONE)}, content_type="application/json").status_code == 201
    pk = Contact.objects.get().pk

    answer = api.patch(f"/contacts/{pk}", {"opted_out": False}, content_type="application/json")
    assert answer.status_code == 403
    for moved in ({"phone": "79990000001"}, {"phone": "79990000001", "opted_out": False}, {"phone": str(PHONE)}):
        api.patch(f"/contacts/{pk}", moved, content_type="application/json")

    assert Suppression.objects.filter(phone=PHONE).exists()
    assert Contact.objects.get().opted_out


def test_bulk_writes_never_undo_an_opt_out(alice: User, bob: User) -> None:
    factories.contact(bob, phone=PHONE)
    suppress([PHONE], by=alice)
    row = {"phone": str(PHONE), "opted_out": False, "first_name": "Anna"}
    for policy in Policy:
        contacts_upsert(by=bob, rows=[row], policy=policy, source=Source.IMPORT)
        assert is_out()


def test_undo_keeps_suppressed_contacts_opted_out(alice: User, bob: User) -> None:
    contact = factories.contact(bob, phone=PHONE)
    (result,) = contacts_upsert(
        by=bob, rows=[{"phone": str(PHONE), "opted_out": True}], policy=Policy.REPLACE, source=Source.IMPORT
    )
    suppress([PHONE], by=alice)

    contacts_restore({contact.pk: (result.before, [])}, now())

    assert is_out()


def edit_form(client: Client, contact: Contact) -> dict[str, str]:
    """The data that a browser would post from this form."""
    response = client.get(f"/contacts/{contact.pk}/edit/")
    form = response.context["form"]
    posted = {"version": form.version}
    for field in form:
        assert f'name="{field.html_initial_name}"' in response.content.decode()
        posted[field.html_initial_name] = str(field.initial)
        if field.initial is not False:
            posted[field.name] = str(field.initial)
    return posted


def test_a_stale_form_writes_only_what_its_user_changed(site: Client, alice: User, bob: User) -> None:
    contact = factories.contact(alice, phone=PHONE, first_name="Anna")
    stale = edit_form(site, contact) | {"first_name": "Anne"}
    suppress([PHONE], by=bob)

    conflict = site.post(f"/contacts/{contact.pk}/edit/", stale)
    again = stale | {"version": conflict.context["form"].version}
    assert site.post(f"/contacts/{contact.pk}/edit/", again).status_code == 302

    assert is_out()
    assert Contact.objects.get().first_name == "Anne"


def test_a_form_says_who_may_release_a_phone(site: Client, alice: User, bob: User) -> None:
    contact = factories.contact(alice, phone=PHONE)
    suppress([PHONE], by=bob)
    form = edit_form(site, contact)
    del form["opted_out"]

    page = site.post(f"/contacts/{contact.pk}/edit/", form)

    assert "Only the user who added this phone number to the list" in page.content.decode()
    assert is_out()
