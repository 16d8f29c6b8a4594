from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.audit_log import history_of
from accounts.models import User
from directory.bulk_actions import work
from directory.bulk_actions.work import bulk_start, bulk_work, requeue_unfinished
from directory.contacts.rules import MAX_TAGS
from directory.models import BulkAction, BulkActionType, Contact, Tag
from tests import factories


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "_BATCH", 3)


@pytest.fixture
def site(alice: User) -> Client:
    client = Client()
    client.force_login(alice)
    return client


def tagged(name: str) -> set[int]:
    return set(Contact.objects.filter(tags__name=name).values_list("pk", flat=True))


def test_ticked_contacts_are_tagged_except_those_of_others(alice: User, bob: User) -> None:
    mine, again, theirs = factories.contact(alice), factories.contact(alice, tags=("vip",)), factories.contact(bob)
    before = mine.updated_at
    action = bulk_start(by=alice, kind=BulkActionType.TAG, tag=" VIP", ids=[mine.pk, again.pk, theirs.pk])
    assert (action.changed, action.unchanged, action.refused, action.total) == (1, 1, 1, 3)
    assert action.finished_at is not None
    assert tagged("vip") == {mine.pk, again.pk}
    mine.refresh_from_db()
    assert mine.updated_at > before
    step = history_of(mine)[0]
    assert (step.by, step.added) == (alice, ["vip"])


def test_an_administrator_changes_all(admin: User, bob: User) -> None:
    contact = factories.contact(bob)
    assert bulk_start(by=admin, kind=BulkActionType.DEACTIVATE, ids=[contact.pk]).changed == 1
    assert not Contact.objects.get().is_active
    assert bulk_start(by=admin, kind=BulkActionType.REACTIVATE, ids=[contact.pk]).changed == 1
    assert Contact.objects.get().is_active


@pytest.mark.usefixtures("small_batches")
def test_matching_contacts_are_changed_in_batches_without_later_ones(alice: User) -> None:
    rows = [factories.contact(alice, first_name="Анна", tags=("old",)) for _ in range(8)]
    other = factories.contact(alice, first_name="Борис", tags=("old",))
    action = bulk_start(by=alice, kind=BulkActionType.UNTAG, tag="old", filters={"q": "анна", "tags": ["old"]})
    late = factories.contact(alice, first_name="Анна", tags=("old",))
    assert (action.total, action.finished_at) == (8, None)
    bulk_work(action.pk)
    action.refresh_from_db()
    assert (action.changed, action.finished_at is not None) == (8, True)
    assert tagged("old") == {other.pk, late.pk}
    assert len(rows) == action.done


@pytest.mark.usefixtures("small_batches")
def test_interrupted_batch_has_no_effect_and_another_worker_continues(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(7):
        factories.contact(alice)
    action = bulk_start(by=alice, kind=BulkActionType.DEACTIVATE, filters={"is_active": True})
    assert work._batch(action.pk)
    with monkeypatch.context() as dying:

        def die(*_: Any) -> None:
            raise SystemExit

        dying.setattr(work, "record", die)
        with pytest.raises(SystemExit):
            bulk_work(action.pk)
    assert Contact.objects.filter(is_active=False).count() == 3
    requeue_unfinished()
    bulk_work(action.pk)
    action.refresh_from_db()
    assert (action.changed, Contact.objects.filter(is_active=False).count()) == (7, 7)


def test_queries_of_a_batch_are_constant(alice: User) -> None:
    bulk_start(by=alice, kind=BulkActionType.TAG, tag="vip", ids=[factories.contact(alice).pk])
    spent = []
    for number in (2, 40):
        rows = [factories.contact(alice).pk for _ in range(number)]
        with CaptureQueriesContext(connection) as queries:
            bulk_start(by=alice, kind=BulkActionType.TAG, tag="vip", ids=rows)
        spent.append(len(queries))
    assert spent[0] == spent[1]


def test_contact_with_too_many_tags_is_skipped(alice: User) -> None:
    contact = factories.contact(alice, tags=tuple(f"t{n}" for n in range(MAX_TAGS)))
    action = bulk_start(by=alice, kind=BulkActionType.TAG, tag="one more", ids=[contact.pk])
    assert (action.changed, action.refused) == (0, 1)


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize(
    ("kind", "into", "left"), [(BulkActionType.MERGE, "new", 7), (BulkActionType.DELETE_TAG, "", 2)]
)
def test_a_tag_is_merged_or_deleted_everywhere(
    admin: User, bob: User, kind: BulkActionType, into: str, left: int
) -> None:
    for _ in range(5):
        factories.contact(bob, tags=("old",))
    for _ in range(2):
        factories.contact(bob, tags=("old", "new"))
    action = bulk_start(by=admin, kind=kind, tag="old", into=into, filters={"tags": ["old"]})
    bulk_work(action.pk)
    assert not Tag.objects.filter(name="old").exists()
    assert len(tagged("new")) == left


def test_dialog_shows_numbers_before_and_list_shows_the_result(site: Client, alice: User, bob: User) -> None:
    rows = [factories.contact(alice), factories.contact(alice), factories.contact(bob)]
    asked = {"kind": "deactivate", "contact": [row.pk for row in rows], "query": "q=9"}
    shown = site.post("/contacts/bulk/", asked, headers={"HX-Request": "true"}).content.decode()
    assert "Deactivate 2 contacts?" in shown
    assert "1 more will not be changed: another user added it" in shown
    assert not BulkAction.objects.exists()
    answer = site.post("/contacts/bulk/begin/", asked)
    assert answer.headers["Location"] == "/contacts/?q=9"
    shown = site.get("/contacts/").content.decode()
    assert "2 contacts changed." in shown
    assert "1 was not changed" in shown


def test_dialog_offers_no_action_on_contacts_of_others(site: Client, bob: User) -> None:
    asked = {"kind": "tag", "contact": [factories.contact(bob).pk, factories.contact(bob).pk]}
    shown = site.post("/contacts/bulk/", asked).content.decode()
    assert "All 2 were erased, or added by other users" in shown
    assert 'name="tag"' not in shown
    assert ">Add tag" not in " ".join(shown.split())


def test_all_matching_contacts_follow_the_lists_filter(site: Client, alice: User) -> None:
    wanted = factories.contact(alice, first_name="Анна", tags=("a",))
    factories.contact(alice, first_name="Анна")
    factories.contact(alice, first_name="Борис", tags=("a",))
    site.post("/contacts/bulk/begin/", {"kind": "tag", "tag": "new", "everything": "1", "query": "q=анна&tag=a"})
    assert tagged("new") == {wanted.pk}


def test_a_long_action_has_a_page_of_its_own(site: Client, alice: User, small_batches: None) -> None:
    for _ in range(5):
        factories.contact(alice)
    answer = site.post("/contacts/bulk/begin/", {"kind": "tag", "tag": "x", "everything": "1", "query": ""})
    action = BulkAction.objects.get()
    assert answer.headers["Location"] == f"/contacts/bulk/{action.pk}/"
    assert 'hx-trigger="every 2s"' in site.get(f"/contacts/bulk/{action.pk}/").content.decode()
    assert "0 of 5 contacts processed" in site.get("/contacts/").content.decode()
    bulk_work(action.pk)
    done = site.get(f"/contacts/bulk/{action.pk}/", headers={"HX-Request": "true"}).content.decode()
    assert "5 contacts changed." in done
    assert "hx-trigger" not in done


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"kind": "tag"},
        {"kind": "merge", "contact": "1"},
        {"kind": "tag", "contact": "x"},
        {"kind": "tag", "contact": "9" * 30, "tag": "x"},
        {"kind": "tag", "everything": "1", "tag": ""},
        {"kind": "tag", "everything": "1", "tag": "a,b"},
        {"kind": "tag", "everything": "1", "tag": "\0"},
        {"kind": "tag", "everything": "1", "tag": "x", "query": "\0&&&=%00"},
    ],
    ids=str,
)
def test_invalid_input_changes_nothing(site: Client, alice: User, sent: dict[str, str]) -> None:
    contact = factories.contact(alice)
    assert site.post("/contacts/bulk/", sent).status_code == 200
    assert site.post("/contacts/bulk/begin/", sent).status_code in {200, 302}
    assert tagged("a,b") == set()
    assert Contact.objects.get(pk=contact.pk).is_active


@pytest.mark.parametrize("query", ["tags=vip", "owner=abc", "state=gone"])
def test_invalid_filter_is_refused(site: Client, alice: User, query: str) -> None:
    factories.contact(alice)
    sent = {"kind": "deactivate", "everything": "on", "query": query}
    answer = site.post("/contacts/bulk/begin/", sent)
    assert "The list filter is not valid." in answer.content.decode()
    assert Contact.objects.get().is_active
    assert not BulkAction.objects.exists()
