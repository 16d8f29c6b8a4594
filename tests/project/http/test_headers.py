"""Headers and cookies of a deployment, for all kinds of responses."""

import ast
import json
from pathlib import Path
from typing import Any, Final

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from project.http.headers import PERMISSIONS
from tests import factories
from tests.project.test_settings import KEY, start

pytestmark = pytest.mark.django_db

POLICY: Final = (
    "base-uri 'none'; connect-src 'self'; default-src 'none'; form-action 'self'; frame-ancestors 'none'; "
    "frame-src 'self'; img-src 'self' data:; script-src 'self'; style-src 'self'"
)
EVERYWHERE: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": PERMISSIONS,
    "Referrer-Policy": "same-origin",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains; preload",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
BY_HTTPS: Final = {"Host": "sms.example.org", "X-Forwarded-Proto": "https"}
DEPLOYED: Final = ("SECURE_", "SESSION_COOKIE_", "CSRF_COOKIE_")


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The settings of a deployment with an HTTPS address."""
    process = start(
        tmp_path_factory.mktemp("deployed"),
        f"{{name: getattr(settings, name) for name in dir(settings) if name.startswith({DEPLOYED})}}",
        SECRET_KEY=KEY,
        PUBLIC_URL="https://sms.example.org",
        ALLOWED_HOSTS="sms.example.org",
    )
    found: dict[str, Any] = ast.literal_eval(process.stdout)
    return found


@pytest.fixture
def site(deployed: dict[str, Any], settings: Settings) -> Client:
    """A browser that uses HTTPS."""
    for name, value in deployed.items():
        setattr(settings, name, value)
    settings.ALLOWED_HOSTS = ["sms.example.org"]
    return Client(headers=BY_HTTPS)


def header(answer: Any, name: str) -> str:
    """A header of the response, its parts sorted; `no-store` alone if it is among them."""
    parts = sorted(answer.get(name, "").split("; ")) if name == "Content-Security-Policy" else [answer.get(name, "")]
    return "no-store" if name == "Cache-Control" and "no-store" in parts[0] else "; ".join(parts)


def test_every_answer_has_the_headers(site: Client, alice: User) -> None:
    answers = {path: site.get(path) for path in ("/accounts/login/", "/docs/", "/nothing-here/", "/api/v1/contacts")}
    answers["a call that is wrong"] = site.put("/api/v1/contacts")
    site.force_login(alice)
    answers |= {path: site.get(path) for path in ("/", "/contacts/", "/contacts/export.csv", "/campaigns/1/")}
    answers["a forged form"] = Client(enforce_csrf_checks=True, headers=BY_HTTPS).post("/accounts/login/")
    found = {path: {name: header(answer, name) for name in EVERYWHERE} for path, answer in answers.items()}
    for path, headers in found.items():
        assert headers == EVERYWHERE, path


def test_responses_before_the_views_have_the_important_headers(site: Client) -> None:
    for answer in (site.get("/healthz"), site.get("/", headers={"Host": "evil.example.org"})):
        for name in ("Cache-Control", "X-Content-Type-Options", "Permissions-Policy"):
            assert answer[name] == EVERYWHERE[name]


def test_the_frame_of_a_report_may_do_nothing_but_look_as_mails_do(site: Client, alice: User) -> None:
    site.force_login(alice)
    answer = site.get("/reports/email/body/")
    policy = "default-src 'none'; frame-ancestors 'self'; style-src 'unsafe-inline'"
    assert (header(answer, "Content-Security-Policy"), answer["X-Frame-Options"]) == (policy, "SAMEORIGIN")


def test_static_files_may_be_kept(site: Client, settings: Settings) -> None:
    settings.WHITENOISE_USE_FINDERS = True
    answer = site.get("/static/css/vestnik.css")
    assert answer.status_code == 200
    assert "max-age" in answer["Cache-Control"]
    assert "Permissions-Policy" not in answer
    assert answer["Cross-Origin-Resource-Policy"] == "same-origin"


def test_cookies_stay_on_this_host_and_out_of_scripts(site: Client, alice: User) -> None:
    site.get("/accounts/login/")
    site.post("/accounts/login/", {"login": alice.email, "password": factories.PASSWORD})
    names = {"__Host-sessionid", "__Host-csrftoken"}
    assert set(site.cookies) == names
    for name in names:
        cookie = site.cookies[name]
        assert (cookie["secure"], cookie["httponly"], cookie["samesite"]) == (True, True, "Lax")
        assert (cookie["path"], cookie["domain"]) == ("/", "")


def test_personal_data_is_not_stored_in_cookies(client: Client, alice: User) -> None:
    client.force_login(alice)
    answer = client.post("/contacts/new/", {"phone": "79161234567", "first_name": "Marfa", "last_name": "Onegina"})
    assert answer.status_code == 302
    assert "messages" not in answer.cookies
    assert "Marfa Onegina added" in client.get(answer["Location"]).content.decode()


def test_plain_http_is_sent_to_https(site: Client) -> None:
    answer = site.get("/campaigns/?q=1", headers={"X-Forwarded-Proto": "http"})
    assert (answer.status_code, answer["Location"]) == (301, "https://sms.example.org/campaigns/?q=1")


@pytest.mark.parametrize("host", ["evil.example.org", "sms.example.org.evil.org", "sms.example.org@evil.org", ""])
@pytest.mark.parametrize("path", ["/accounts/login/", "/api/v1/contacts"])
def test_unknown_host_is_refused(site: Client, host: str, path: str) -> None:
    answer = site.get(path, headers={"Host": host})
    assert answer.status_code in (400, 404)
    assert "Location" not in answer


def test_email_links_use_the_public_url_for_any_host(
    site: Client, alice: User, settings: Settings, mailoutbox: list[Any]
) -> None:
    settings.ALLOWED_HOSTS = ["sms.example.org", "other.example.org"]
    settings.PUBLIC_URL = "https://sms.example.org"
    spoofed = {"Host": "other.example.org", "X-Forwarded-Host": "evil.example.org"}
    site.post("/accounts/password/reset/", {"email": alice.email}, headers=spoofed)
    (letter,) = mailoutbox
    assert "https://sms.example.org/accounts/password/reset/key/" in letter.body
    assert "//other.example.org" not in letter.body
    assert "evil.example.org" not in letter.body


def test_htmx_may_neither_eval_nor_ask_others_nor_keep_pages(client: Client) -> None:
    page = client.get("/accounts/login/").content.decode()
    config = json.loads(page.partition('name="htmx-config"')[2].partition("content='")[2].partition("'")[0])
    wanted = {"allowEval": False, "selfRequestsOnly": True, "historyCacheSize": 0}
    assert {name: config[name] for name in wanted} == wanted


@pytest.mark.parametrize(
    ("chosen", "seconds", "subdomains", "preload"),
    [
        ({"HSTS_PRELOAD": "0"}, 31_536_000, True, False),
        ({"HSTS_PRELOAD": "0", "HSTS_SUBDOMAINS": "0", "HSTS_SECONDS": "3600"}, 3600, False, False),
        ({"HSTS_SECONDS": "0"}, 0, True, True),
    ],
)
def test_hsts_can_be_narrowed_and_turned_off(
    tmp_path: Path, chosen: dict[str, str], seconds: int, subdomains: bool, preload: bool
) -> None:
    names = "SECURE_HSTS_SECONDS", "SECURE_HSTS_INCLUDE_SUBDOMAINS", "SECURE_HSTS_PRELOAD"
    process = start(
        tmp_path,
        f"[getattr(settings, name) for name in {names}]",
        SECRET_KEY=KEY,
        PUBLIC_URL="https://sms.example.org",
        ALLOWED_HOSTS="sms.example.org",
        **chosen,
    )
    assert ast.literal_eval(process.stdout) == [seconds, subdomains, preload]
