"""Permissions of pages: every URL, for every kind of user.

The same round shows three things more: what is refused changes nothing, GET changes nothing, and nobody reads in any
answer, whole or part, what only Alice and administrators may read.
"""

import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any, Final

import pytest
from allauth.account.models import EmailAddress
from django.apps import apps
from django.contrib.admindocs.views import simplify_regex
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, URLResolver, get_resolver

from accounts.models import ApiToken, User
from directory.contacts.forms import OFFERED_ACTIONS
from directory.models import BulkActionType, Contact
from tests import factories
from tests.project.page_matrix import (
    ADMIN_MODELS,
    ADMIN_PAGES,
    ADMIN_VIEWS,
    CALLERS,
    NOBODY,
    PAGES,
    SECRET,
    SIGN_IN,
    STAFF,
    Answer,
    Page,
)
from tests.project.test_permissions import MATRIX, operations

pytestmark = pytest.mark.django_db

WRITE: Final = re.compile(r'\s*(?:WITH.*)?(?:INSERT INTO|UPDATE|DELETE FROM)\s+"?(\w+)', re.DOTALL)
# Sessions and caches are not compared; every request records the last use of its token or session.
BOOKKEEPING: Final = {"django_session", "cache", "accounts_usage", "usersessions_usersession"}
REFUSED: Final = (SIGN_IN, 403, 404, 405)
PARTS: Final = ("", "progress", "rows")
"""Headers of an htmx request for a part of a page."""


def addresses(patterns: Iterable[URLPattern | URLResolver], prefix: str = "") -> Iterator[str]:
    """Every URL except those of the JSON API, which has its own matrix."""
    for pattern in patterns:
        route = f"{prefix}{pattern.pattern}"
        if isinstance(pattern, URLPattern):
            yield simplify_regex(route).replace("\\", "")
        elif pattern.app_name != "ninja":
            yield from addresses(pattern.url_patterns, route)


def test_every_address_has_a_row() -> None:
    models = {
        f"/admin/{model}/{view.replace('{id}', '<path:object_id>')}" for model in ADMIN_MODELS for view in ADMIN_VIEWS
    }
    assert set(addresses(get_resolver().url_patterns)) == {*PAGES, *ADMIN_PAGES, *models}


@pytest.fixture(autouse=True)
def people(alice: User, bob: User, admin: User) -> dict[str, User | None]:
    """Every kind of user, signed up like real ones."""
    chief = factories.user("chief@example.org", is_staff=True, is_superuser=True)
    gone = factories.user("gone@example.org", is_staff=True)
    for user in User.objects.all():
        EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=True)
    return {
        "anonymous": None,
        "deactivated": gone,
        "other": bob,
        "owner": alice,
        "admin": admin,
        "superuser": chief,
    }


def filled(path: str, places: dict[tuple[str, str], Any]) -> str:
    """The path with Alice's ids."""
    for start, name in sorted(places, key=lambda place: -len(place[0])):
        if path.startswith(start):
            path = path.replace(name, str(places[start, name]))
    return path


def every_path(pages: dict[str, Page]) -> Iterator[tuple[str, Page]]:
    """All paths, with each value of the free parts."""
    for address, page in pages.items():
        for path in page.paths(address):
            yield path, page


@dataclass
class Visit:
    """The result of a request: its outcome as in the matrix, the whole response, and the changed tables."""

    outcome: Answer
    body: bytes
    written: list[str]


class Visitor:
    """A user's session; the effects of each request are rolled back."""

    def __init__(self, user: User | None, **options: Any) -> None:
        self.client = Client(**options)
        if user is not None:
            self.client.force_login(user)
        self.session = self.client.cookies.output(header="", sep=";")

    def visit(self, method: str, path: str, data: Any = None, headers: Any = None) -> Visit:
        """Send a request, and record the changed tables."""
        self.client.cookies = SimpleCookie(self.session)
        with transaction.atomic(), CaptureQueriesContext(connection) as queries:
            answer: Any = getattr(self.client, method)(path, data or {}, headers=headers)
            body = b"".join(answer) if answer.streaming else answer.content
            transaction.set_rollback(True)
        away = answer.get("Location", "") + answer.get("HX-Redirect", "")
        outcome = SIGN_IN if re.match(r"/(accounts|admin)/login/\?next=", away) else answer.status_code
        written = (WRITE.match(query["sql"]) for query in queries)
        return Visit(outcome, body, [found[1] for found in written if found and found[1] not in BOOKKEEPING])


@pytest.fixture
def visitor(caller: str, people: dict[str, User | None], places: Any) -> Visitor:
    """The user's session; the deactivated user signed in before."""
    visitor = Visitor(people[caller])
    User.objects.filter(email="gone@example.org").update(is_active=False)
    return visitor


@pytest.mark.parametrize("caller", CALLERS)
def test_permissions_are_as_in_the_matrix(
    caller: str, visitor: Visitor, places: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "django.request")  # hundreds of refusals would fill the log
    wrong, changes, leaks = {}, [], []
    pages = ADMIN_PAGES if caller == "superuser" else PAGES | ADMIN_PAGES
    for path, page in every_path(pages):
        address = filled(path, places)
        for method, who, data in (("get", page.get, None), ("post", page.post, page.data)):
            request = f"{method} {path}"
            visits = [visitor.visit(method, address, data)]
            if visits[0].outcome != who[caller]:
                wrong[request] = f"{visits[0].outcome}, not {who[caller]}"
            refused = who[caller] in REFUSED
            if method == "get" and refused and who is not NOBODY:
                asks = ({"HX-Request": "true", "HX-Target": part} for part in PARTS)
                visits += [visitor.visit(method, address, None, headers) for headers in asks]
            if method == "get" or refused:
                changes += [f"{request} writes {visit.written}" for visit in visits if visit.written]
            if caller not in ("owner", *STAFF):
                leaks += [request for visit in visits if SECRET.encode() in visit.body]
    assert wrong == {}
    assert changes == []
    assert leaks == []


@pytest.mark.parametrize("caller", CALLERS)
def test_permissions_in_the_django_admin(caller: str, visitor: Visitor, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "django.request")
    wrong, changes = {}, []
    for model, (administrator, superuser) in ADMIN_MODELS.items():
        row = apps.get_model(model.replace("/", "."))._base_manager.first()
        rights = {"admin": administrator, "superuser": superuser}.get(caller)
        for view, right in ADMIN_VIEWS.items():
            if row is None and view == "{id}/history/":
                continue  # there is nothing to be refused
            address = f"/admin/{model}/{view.format(id=row.pk if row else 1)}"
            asked = {"get": right} | ({"post": "c"} if view == "{id}/change/" and "c" not in (rights or "") else {})
            for method, needed in asked.items():
                visit = visitor.visit(method, address)
                may = rights is not None and needed in rights
                if may == (visit.outcome in (SIGN_IN, 403)):
                    wrong[method, model, view] = visit.outcome
                changes += [f"{method} {address} writes {visit.written}"] if visit.written else []
    assert wrong == {}
    assert changes == []


@pytest.mark.parametrize("kind", OFFERED_ACTIONS)
@pytest.mark.parametrize("caller", CALLERS)
def test_who_may_change_many_at_once(caller: str, kind: BulkActionType, visitor: Visitor, places: Any) -> None:
    contact = Contact.objects.filter(pk=places["/contacts/", "<int:pk>"])
    contact.update(is_active=kind != BulkActionType.REACTIVATE)
    tag = {BulkActionType.TAG: "new", BulkActionType.UNTAG: "best"}.get(kind, "")
    data = {"kind": kind, "tag": tag, "contact": [contact.get().pk], "query": "state=all"}
    visit = visitor.visit("post", "/contacts/bulk/begin/", data)
    assert ("directory_contact" in visit.written) == (caller in ("owner", *STAFF))
    if caller == "other":
        assert visit.outcome == 302


def test_a_form_without_its_token_changes_nothing(people: dict[str, User | None], places: Any) -> None:
    wrong = {}
    for caller in ("anonymous", "owner", "superuser"):
        visitor = Visitor(people[caller], enforce_csrf_checks=True)
        for path, page in every_path(PAGES | ADMIN_PAGES):
            if page.csrf and page.post[caller] not in REFUSED:
                visit = visitor.visit("post", filled(path, places), page.data)
                if visit.outcome != 403 or visit.written:
                    wrong[caller, path] = visit.outcome, visit.written
    assert wrong == {}


def test_a_session_opens_nothing_in_the_api(people: dict[str, User | None]) -> None:
    visitor = Visitor(people["superuser"])
    open_ones = {name for name, (who, _body) in MATRIX.items() if who["anonymous"] < 400}
    found = {
        name
        for name, (method, path) in operations().items()
        if visitor.visit(method.lower(), f"/api/v1{re.sub('{.*?}', '1', path)}").outcome != 401
    }
    assert found == open_ones


def test_reading_by_the_api_changes_nothing(admin: User, places: Any) -> None:
    visitor = Visitor(None, headers={"Authorization": f"Bearer {ApiToken.issue(admin)[1]}"})
    visitor.visit("get", "/api/v1/users/me")
    written = {}
    for method, path in operations().values():
        if method == "GET":
            visit = visitor.visit("get", f"/api/v1{re.sub('{.*?}', '1', path)}")
            written[path] = [table for table in visit.written if table != "accounts_apitoken"]
    assert not any(written.values()), written
