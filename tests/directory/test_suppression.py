from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts.history import history_of
from accounts.models import User
from campaigns import direct
from directory.models import Contact, Source, Suppression
from directory.services import contact_create, contact_update
from directory.suppression import release, settle, shut, suppress
from tests import factories

PHONE = 79991234567
LIST = "/contacts/suppression/"


@pytest.fixture
def site(alice: User) -> Client:
    client = Client()
    client.force_login(alice)
    return client


def test_a_suppressed_phone_opts_its_contact_out_and_moves_its_change(alice: User, bob: User) -> None:
    contact = factories.contact(bob, phone=PHONE)
    assert suppress([PHONE, PHONE], by=alice, reason="asked by phone") == 1
    row = Contact.objects.get(pk=contact.pk)
    assert row.opted_out
    assert row.updated_at > contact.updated_at
    listed = Suppression.objects.get()
    assert (listed.phone, listed.reason, listed.source, listed.by) == (PHONE, "asked by phone", Source.PERSON, alice)
    assert history_of(row)[0].by == alice


def test_what_was_kept_first_stays(alice: User, bob: User) -> None:
    suppress([PHONE], by=alice, source=Source.REPLY, reason="STOP")
    assert suppress([PHONE], by=bob, source=Source.IMPORT) == 0
    assert Suppression.objects.get().reason == "STOP"


def test_who_opts_out_as_a_contact_comes_onto_the_list_and_off_again(alice: User) -> None:
    contact = contact_create(owner=alice, phone=PHONE, opted_out=True, source=Source.API)
    assert Suppression.objects.get().source == Source.API
    contact_update(contact=contact, by=alice, opted_out=False)
    assert not Suppression.objects.exists()
    assert not Contact.objects.get().opted_out


def test_a_contact_that_is_added_later_has_opted_out_whatever_is_said_of_it(alice: User) -> None:
    suppress([PHONE], by=alice)
    assert contact_create(owner=alice, phone=PHONE, opted_out=False).opted_out
    assert Suppression.objects.exists()


def test_a_new_phone_that_is_on_the_list_opts_out(alice: User) -> None:
    suppress([PHONE], by=alice)
    contact = factories.contact(alice)
    assert contact_update(contact=contact, by=alice, phone=PHONE).opted_out


def test_many_contacts_stored_at_once_agree_with_the_list(alice: User) -> None:
    suppress([PHONE], by=alice)
    told = ((PHONE, False), (PHONE + 1, True))
    rows = [Contact(owner=alice, phone=phone, operator_code="999", opted_out=out) for phone, out in told]
    Contact.objects.bulk_create(rows)
    settle([PHONE, PHONE + 1], opted_out=[PHONE + 1], by=alice, source=Source.IMPORT)
    assert Contact.objects.get(phone=PHONE).opted_out
    assert Suppression.objects.get(phone=PHONE + 1).source == Source.IMPORT


def test_only_who_put_it_there_or_may_change_its_contact_takes_a_phone_off(alice: User, bob: User, admin: User) -> None:
    suppress([PHONE, PHONE + 1, PHONE + 2], by=alice)
    factories.contact(bob, phone=PHONE + 1)
    with pytest.raises(PermissionDenied):
        release(PHONE, by=bob)
    release(PHONE, by=alice)
    release(PHONE + 1, by=bob)
    release(PHONE + 2, by=admin)
    assert not Suppression.objects.exists()


def test_a_bare_phone_on_the_list_gets_no_message(alice: User) -> None:
    suppress([PHONE], by=alice)
    assert shut([PHONE, PHONE + 1]) == {PHONE}
    with pytest.raises(ValidationError):
        direct.message_send(owner=alice, phone=PHONE, text="Hi")


def test_phones_are_added_by_hand_and_from_a_file_and_what_is_none_is_told(site: Client) -> None:
    file = SimpleUploadedFile("list.csv", "\ufeffphone;name\n8 999 123-45-67;Anna\n\nrubbish\n".encode())
    answer = site.post(LIST, {"phones": "+7 903 555-01-12", "file": file, "reason": "law"})
    shown = answer.content.decode()
    assert "2 lines hold no phone" in shown
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


def test_a_phone_is_taken_off_only_with_a_word_that_the_person_agrees(site: Client, alice: User) -> None:
    suppress([PHONE], by=alice)
    site.post(f"{LIST}{PHONE}/", {})
    assert Suppression.objects.exists()
    assert site.post(f"{LIST}{PHONE}/", {"sure": "on"}).status_code == 302
    assert not Suppression.objects.exists()


@pytest.mark.parametrize(
    "sent", [{}, {"phones": " "}, {"phones": "\0"}, {"phones": "x" * 200_000}, {"reason": "\0"}], ids=str
)
def test_rubbish_is_told_beside_the_field(site: Client, sent: Any) -> None:
    assert site.post(LIST, sent).status_code in {200, 422}
    for address in ("?q=%00", "?cursor=x", "?q=" + "9" * 500, "?cursor=[1,2]"):
        assert site.get(LIST + address).status_code == 200
    for phone in ("0", "9" * 30):
        assert site.get(f"{LIST}{phone}/").status_code == 404
    assert not Suppression.objects.exists()
