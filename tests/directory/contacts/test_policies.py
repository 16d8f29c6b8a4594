"""Who may change a contact: one rule, as a question, a check and filters."""

import re
from pathlib import Path

import pytest
from django.core.exceptions import PermissionDenied

from accounts.models import User
from directory.bulk_actions.work import bulk_scope, bulk_start
from directory.contacts.erasure import contact_erase
from directory.contacts.policies import check_may_change_contact, may_change_contact
from directory.models import BulkActionType, Contact
from project.http.errors import Conflict
from tests import factories
from tests.project.test_settings import ROOT


def outcome(user: User, contact: Contact) -> type[Exception] | None:
    try:
        check_may_change_contact(user, contact)
    except (PermissionDenied, Conflict) as error:
        return type(error)
    return None


def test_question_check_and_filters_agree(alice: User, bob: User, admin: User) -> None:
    mine, erased = factories.contact(alice), factories.contact(alice)
    contact_erase(contact=erased, by=alice)
    erased.refresh_from_db()
    expected = {
        (alice, mine): None,
        (bob, mine): PermissionDenied,
        (admin, mine): None,
        (alice, erased): Conflict,
        (bob, erased): PermissionDenied,
        (admin, erased): Conflict,
    }
    assert {(user, contact): outcome(user, contact) for user, contact in expected} == expected
    for (user, contact), refusal in expected.items():
        assert may_change_contact(user, contact) == (refusal is None)
        assert (contact in Contact.objects.changeable_by(user)) == (refusal is None)
        assert (contact in Contact.objects.unchangeable_by(user)) == (refusal is not None)


@pytest.mark.parametrize("kind", [BulkActionType.TAG, BulkActionType.REACTIVATE])
def test_no_bulk_action_changes_an_erased_contact(admin: User, kind: BulkActionType) -> None:
    erased = factories.contact(admin)
    contact_erase(contact=erased, by=admin)
    assert bulk_scope(by=admin, ids=[erased.pk], filters={}) == (1, 0)
    action = bulk_start(by=admin, kind=kind, tag="vip", ids=[erased.pk])
    assert (action.changed, action.unchanged, action.refused) == (0, 0, 1)
    erased.refresh_from_db()
    assert (erased.is_active, list(erased.tags.all())) == (False, [])


def test_only_policies_ask_who_is_an_administrator() -> None:
    sources = [path for path in Path(ROOT, "directory").rglob("*.py") if path.name != "policies.py"]
    assert len(sources) > 50
    assert [str(path) for path in sources if re.search(r"\bis_staff\b(?!\")", path.read_text())] == []
