"""Attacks on pages and API, generated from the code where possible."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from django.apps import apps
from django.conf import settings as conf
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models import CharField, Field, Model, TextField, URLField
from django.test import Client
from django.utils.timezone import now
from pytest_django import Settings

from accounts.models import User
from campaigns.models import Attempt, Message, Run
from directory.imports.models import Import, RejectedRow
from directory.models import Contact
from tests import factories
from tests.campaigns.outcomes import count_minute
from tests.conftest import ApiClient
from tests.project.page_matrix import ADMIN_MODELS, ADMIN_PAGES, PAGES
from tests.project.test_page_permissions import every_path, filled

pytestmark = pytest.mark.django_db

LOGIN: Final = "/accounts/login/"
SCRIPT: Final = "<img src=x onerror=alert(1)>'\""
OURS: Final = ("accounts", "webhooks", "directory", "campaigns", "reports", "auditlog")
# Texts that users do not enter: codes, keys, and derived texts.
CODES: Final = {
    "attempt.reason", "delivery.reason", "message.reason", "runreason.reason",
    "access", "additional_data_hash", "cid", "country", "delimiter", "digest", "email", "encoding", "fingerprint",
    "key", "language", "line_type", "listed_status", "mark", "object_pk", "operator_code", "password", "policy",
    "prefix", "resolution", "search", "secret", "serialized_data", "status", "timezone", "uid",
}  # fmt: skip


def texts(model: type[Model]) -> Iterator[Field[Any, Any]]:
    """The fields of a model with user input."""
    for field in model._meta.local_fields:
        written = isinstance(field, CharField | TextField) and not isinstance(field, URLField)
        names = {field.name, f"{model._meta.model_name}.{field.name}"}
        if written and not field.choices and not field.primary_key and names.isdisjoint(CODES):
            yield field


@pytest.fixture
def add_scripts(places: Any, alice: User) -> None:
    """Alice's objects, with a script in every text field."""
    run = Run.objects.earliest("pk")
    Attempt.objects.create(message=Message.objects.earliest("pk"), at=now(), reason="x", answer="x")
    RejectedRow.objects.create(import_job=Import.objects.get(), row=2, cells=[SCRIPT], reason="x")
    for days in range(3):
        count_minute(run.pk, now() - timedelta(days=days), sent=1, failed=1, retried=0)
    for model in apps.get_models():
        if model._meta.app_label in OURS:
            for row in model._base_manager.all():
                values = {field.name: f"{SCRIPT}{row.pk}"[: field.max_length] for field in texts(model)}
                if values:
                    model._base_manager.filter(pk=row.pk).update(**values)
    Contact.objects.update(attributes={SCRIPT: SCRIPT})
    Import.objects.update(header=[SCRIPT])


@pytest.mark.usefixtures("add_scripts")
def test_no_text_becomes_a_script_on_any_page(places: Any) -> None:
    chief = factories.user("chief@example.org", is_staff=True, is_superuser=True)
    client = Client()
    client.force_login(User.objects.get(email="alice@example.org"))
    boss = Client()
    boss.force_login(chief)
    visits = [(client, filled(path, places)) for path, page in every_path(PAGES) if page.get["owner"] == 200]
    visits += [
        (boss, filled(path, places)) for path, page in every_path(PAGES | ADMIN_PAGES) if page.get["admin"] == 200
    ]
    for model in ADMIN_MODELS:
        row = apps.get_model(model.replace("/", "."))._base_manager.first()
        visits += [(boss, f"/admin/{model}/")] + ([(boss, f"/admin/{model}/{row.pk}/change/")] if row else [])
    shown = set()
    for visitor, path in visits:
        for headers in ({}, {"HX-Request": "true", "HX-Target": "rows"}):
            answer: Any = visitor.get(path, headers=headers)
            body = answer.getvalue().decode(errors="replace") if not path.endswith(".xlsx") else ""
            if answer["Content-Type"].startswith("text/html"):
                assert "<img src=x" not in body, path
                assert not re.search(r"=[\"'][^\"'<>]*<img", body), path
                shown |= {path} if "&lt;img src=x" in body else set()
            elif SCRIPT in body:
                assert answer["Content-Disposition"].startswith("attachment"), path
                assert not any(cell.startswith(("=", "+", "@", "-")) for cell in body.split(",")), path
            assert answer["X-Content-Type-Options"] == "nosniff"
    assert {"/campaigns/", "/contacts/", "/reports/", "/reports/email/body/", "/account/", "/users/"} <= shown
    assert len(shown) >= 25


def test_signing_in_makes_a_session_anew(client: Client, alice: User) -> None:
    client.get(LOGIN)
    session = client.session
    session["planted"] = "by an attacker"
    session.save()
    planted = str(session.session_key)
    client.cookies[conf.SESSION_COOKIE_NAME] = planted
    client.post(LOGIN, {"login": alice.email, "password": factories.PASSWORD})
    assert client.get("/account/").status_code == 200
    assert client.session.session_key != planted
    attacker = Client()
    attacker.cookies[conf.SESSION_COOKIE_NAME] = planted
    assert attacker.get("/account/").status_code == 302


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "///evil.example",
        "javascript:alert(1)",
        "http:evil.example",
    ],
)
def test_redirects_stay_on_this_site(client: Client, alice: User, address: str) -> None:
    answer = client.post(
        f"{LOGIN}?next={address}", {"login": alice.email, "password": factories.PASSWORD, "next": address}
    )
    assert answer["Location"] == "/"
    assert client.get(LOGIN, {"next": address})["Location"] == "/"
    assert client.post("/accounts/logout/", {"next": address})["Location"] == LOGIN


def test_accounts_are_not_revealed_by_text_or_timing(
    client: Client, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    factories.user("gone@example.org", is_active=False)
    hashed: list[str] = []
    encode = MD5PasswordHasher.encode

    def counted(*args: Any) -> str:
        hashed.append("once")
        return encode(*args)

    monkeypatch.setattr(MD5PasswordHasher, "encode", counted)
    found = []
    for email in (alice.email, "nobody@example.org"):
        hashed.clear()
        page = client.post(LOGIN, {"login": email, "password": "a wrong guess"})
        api: Any = ApiClient().post("/tokens", {"email": email, "password": "a wrong guess"}, "application/json")
        text = re.sub(r'name="csrfmiddlewaretoken" value="\w+"|X-CSRFToken": "\w+"', "", page.content.decode())
        found.append((page.status_code, text.replace(email, ""), api.status_code, api.content, len(hashed)))
    assert found[0] == found[1]
    assert found[0][4] == 2


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "..\\..\\boot.ini", "/etc/passwd", "a\0b.csv", "x" * 400 + ".csv"]
)
def test_file_names_cannot_escape_the_folder(client: Client, alice: User, name: str) -> None:
    client.force_login(alice)
    before = sorted(Path(conf.DATA_DIR).rglob("*"))
    client.post("/contacts/imports/", {"file": SimpleUploadedFile(name, b"phone\n79161234567\n")})
    assert all("/" not in row.name and ".." not in row.name[:2] for row in Import.objects.all())
    assert sorted(Path(conf.DATA_DIR).rglob("*")) == before


@pytest.mark.parametrize(
    "path", ["..%2f..%2fproject%2fsettings.py", "../../project/settings.py", "%2e%2e/manage.py", "/etc/passwd"]
)
def test_no_path_leads_out_of_the_static_files(client: Client, path: str) -> None:
    assert client.get(f"/static/{path}").status_code == 404


def test_bodies_have_their_limits(client: Client, alice: User, settings: Settings) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = settings.UPLOAD_MAX_SIZE = 10_000
    client.force_login(alice)
    large = {"name": "x" * 20_000}
    assert client.post("/contacts/new/", large).status_code == 400
    assert client.post("/contacts/new/", "name=" + "x" * 20_000, "application/x-www-form-urlencoded").status_code == 400
    assert client.post("/contacts/new/", {f"field{n}": "" for n in range(1001)}).status_code == 400
    upload = {"file": SimpleUploadedFile("people.csv", b"phone\n" + b"79161234567\n" * 1000)}
    assert client.post("/contacts/imports/", upload).status_code == 400
    assert not Import.objects.exists()
    answer: Any = ApiClient(alice).post("/contacts", {"phone": "7" * 20_000}, "application/json")
    assert answer.status_code == 413
