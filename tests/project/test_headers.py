"""The headers and cookies of a deployment, on every kind of answer."""

import ast
import json
from typing import Any, Final

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from project.headers import PERMISSIONS
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
    """What a deployment's address makes of the settings."""
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
    """A browser that comes by HTTPS."""
    for name, value in deployed.items():
        setattr(settings, name, value)
    settings.ALLOWED_HOSTS = ["sms.example.org"]
    return Client(headers=BY_HTTPS)


def told(answer: Any, name: str) -> str:
    """A header of the answer, its parts in order; `no-store` is all that counts where it is."""
    parts = sorted(answer.get(name, "").split("; ")) if name == "Content-Security-Policy" else [answer.get(name, "")]
    return "no-store" if name == "Cache-Control" and "no-store" in parts[0] else "; ".join(parts)


def test_every_answer_has_the_headers(site: Client, alice: User) -> None:
    answers = {path: site.get(path) for path in ("/accounts/login/", "/docs/", "/nothing-here/", "/api/v1/contacts")}
    answers["a call that is wrong"] = site.put("/api/v1/contacts")
    site.force_login(alice)
    answers |= {path: site.get(path) for path in ("/", "/contacts/", "/contacts/export.csv", "/campaigns/1/")}
    answers["a forged form"] = Client(enforce_csrf_checks=True, headers=BY_HTTPS).post("/accounts/login/")
    found = {path: {name: told(answer, name) for name in EVERYWHERE} for path, answer in answers.items()}
    for path, headers in found.items():
        assert headers == EVERYWHERE, path


def test_what_comes_before_the_pages_has_those_that_matter(site: Client) -> None:
    for answer in (site.get("/healthz"), site.get("/", headers={"Host": "evil.example.org"})):
        for name in ("Cache-Control", "X-Content-Type-Options", "Permissions-Policy"):
            assert answer[name] == EVERYWHERE[name]


def test_the_frame_of_a_report_may_do_nothing_but_look_as_mails_do(site: Client, alice: User) -> None:
    site.force_login(alice)
    answer = site.get("/reports/email/body/")
    policy = "default-src 'none'; frame-ancestors 'self'; style-src 'unsafe-inline'"
    assert (told(answer, "Content-Security-Policy"), answer["X-Frame-Options"]) == (policy, "SAMEORIGIN")


def test_static_files_may_be_kept(site: Client, settings: Settings) -> None:
    settings.WHITENOISE_USE_FINDERS = True
    answer = site.get("/static/css/vestnik.css")
    assert answer.status_code == 200
    assert "max-age" in answer["Cache-Control"]
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


def test_what_is_said_of_people_stays_in_no_cookie(client: Client, alice: User) -> None:
    client.force_login(alice)
    answer = client.post("/contacts/new/", {"phone": "79161234567", "first_name": "Marfa", "last_name": "Onegina"})
    assert answer.status_code == 302
    assert "messages" not in answer.cookies
    assert "Marfa Onegina is added" in client.get(answer["Location"]).content.decode()


def test_plain_http_is_sent_to_https(site: Client) -> None:
    answer = site.get("/campaigns/?q=1", headers={"X-Forwarded-Proto": "http"})
    assert (answer.status_code, answer["Location"]) == (301, "https://sms.example.org/campaigns/?q=1")


@pytest.mark.parametrize("host", ["evil.example.org", "sms.example.org.evil.org", "sms.example.org@evil.org", ""])
@pytest.mark.parametrize("path", ["/accounts/login/", "/api/v1/contacts"])
def test_another_host_is_answered_nothing(site: Client, host: str, path: str) -> None:
    answer = site.get(path, headers={"Host": host})
    assert answer.status_code in (400, 404)
    assert "Location" not in answer


def test_letters_lead_to_the_public_address_whatever_host_was_asked(
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
