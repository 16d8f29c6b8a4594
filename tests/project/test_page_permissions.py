"""Who may see and do what on the pages: every address that there is, by everyone who may try.

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
from directory.forms import BULK_DEEDS
from directory.models import Contact, Deed
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
# Sessions and caches are no state; when a token or a session was last used, and how often, is told by every call.
BOOKKEEPING: Final = {"django_session", "cache", "accounts_usage", "usersessions_usersession"}
REFUSED: Final = (SIGN_IN, 403, 404, 405)
PARTS: Final = ("", "progress", "rows")
"""What htmx asks for instead of a whole page."""


def addresses(patterns: Iterable[URLPattern | URLResolver], prefix: str = "") -> Iterator[str]:
    """Every address but those of the JSON API, which has a matrix of its own."""
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
    """Everyone who may try, signed up as people are."""
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
    """All of them, with each value of the free parts."""
    for address, page in pages.items():
        for path in page.paths(address):
            yield path, page


@dataclass
class Visit:
    """What came of one request: as the matrix says it, the whole answer, and the tables that were written."""

    told: Answer
    body: bytes
    written: list[str]


class Visitor:
    """One who asks, in one session; whatever a request does is undone after it."""

    def __init__(self, user: User | None, **options: Any) -> None:
        self.client = Client(**options)
        if user is not None:
            self.client.force_login(user)
        self.session = self.client.cookies.output(header="", sep=";")

    def visit(self, method: str, path: str, data: Any = None, headers: Any = None) -> Visit:
        """Ask, and see what is written in the database."""
        self.client.cookies = SimpleCookie(self.session)
        with transaction.atomic(), CaptureQueriesContext(connection) as queries:
            answer: Any = getattr(self.client, method)(path, data or {}, headers=headers)
            body = b"".join(answer) if answer.streaming else answer.content
            transaction.set_rollback(True)
        away = answer.get("Location", "") + answer.get("HX-Redirect", "")
        told = SIGN_IN if re.match(r"/(accounts|admin)/login/\?next=", away) else answer.status_code
        written = (WRITE.match(query["sql"]) for query in queries)
        return Visit(told, body, [found[1] for found in written if found and found[1] not in BOOKKEEPING])


@pytest.fixture
def visitor(caller: str, people: dict[str, User | None], places: Any) -> Visitor:
    """The one whose turn it is; who is deactivated was signed in before."""
    visitor = Visitor(people[caller])
    User.objects.filter(email="gone@example.org").update(is_active=False)
    return visitor


@pytest.mark.parametrize("caller", CALLERS)
def test_who_may(caller: str, visitor: Visitor, places: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "django.request")  # hundreds of refusals need not be told
    wrong, changes, leaks = {}, [], []
    pages = ADMIN_PAGES if caller == "superuser" else PAGES | ADMIN_PAGES
    for path, page in every_path(pages):
        address = filled(path, places)
        for method, who, data in (("get", page.get, None), ("post", page.post, page.data)):
            request = f"{method} {path}"
            visits = [visitor.visit(method, address, data)]
            if visits[0].told != who[caller]:
                wrong[request] = f"{visits[0].told}, not {who[caller]}"
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
def test_who_may_in_the_administration(caller: str, visitor: Visitor, caplog: pytest.LogCaptureFixture) -> None:
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
                if may == (visit.told in (SIGN_IN, 403)):
                    wrong[method, model, view] = visit.told
                changes += [f"{method} {address} writes {visit.written}"] if visit.written else []
    assert wrong == {}
    assert changes == []


@pytest.mark.parametrize("deed", BULK_DEEDS)
@pytest.mark.parametrize("caller", CALLERS)
def test_who_may_change_many_at_once(caller: str, deed: Deed, visitor: Visitor, places: Any) -> None:
    contact = Contact.objects.filter(pk=places["/contacts/", "<int:pk>"])
    contact.update(is_active=deed != Deed.REACTIVATE)
    tag = {Deed.TAG: "new", Deed.UNTAG: "best"}.get(deed, "")
    data = {"deed": deed, "tag": tag, "contact": [contact.get().pk], "query": "state=all"}
    visit = visitor.visit("post", "/contacts/bulk/begin/", data)
    assert ("directory_contact" in visit.written) == (caller in ("owner", *STAFF))
    if caller == "other":
        assert visit.told == 302


def test_a_form_without_its_token_changes_nothing(people: dict[str, User | None], places: Any) -> None:
    wrong = {}
    for caller in ("anonymous", "owner", "superuser"):
        visitor = Visitor(people[caller], enforce_csrf_checks=True)
        for path, page in every_path(PAGES | ADMIN_PAGES):
            if page.csrf and page.post[caller] not in REFUSED:
                visit = visitor.visit("post", filled(path, places), page.data)
                if visit.told != 403 or visit.written:
                    wrong[caller, path] = visit.told, visit.written
    assert wrong == {}


def test_a_session_opens_nothing_in_the_api(people: dict[str, User | None]) -> None:
    visitor = Visitor(people["superuser"])
    open_ones = {name for name, (who, _body) in MATRIX.items() if who["anonymous"] < 400}
    found = {
        name
        for name, (method, path) in operations().items()
        if visitor.visit(method.lower(), f"/api/v1{re.sub('{.*?}', '1', path)}").told != 401
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
