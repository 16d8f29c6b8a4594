"""Log lines: their format, their ids, and what they never contain."""

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from project.observability.logs import Formatter, logging_config, mask
from tests import factories
from tests.campaigns.browser_client import browser
from tests.conftest import ApiClient
from tests.project.test_settings import KEY, ROOT

WRITE = """
import django, logging, structlog
django.setup()
from project.observability.logs import log_each
log = structlog.get_logger("vestnik.test")
with structlog.contextvars.bound_contextvars(request_id="abc"):
    log.info("привет", campaign=7)
    log_each("vestnik.sending", "attempt", [{"message": 3}])
logging.getLogger("library").warning("plain %s", "words")
def fail():
    phone = 79991234567
    raise RuntimeError(f"broken for {phone}\\nDETAIL: Failing row contains (a text)")
try:
    fail()
except RuntimeError:
    log.exception("failed")
log_each("vestnik.sending", "attempt", ({"message": number, "reason": "отказ"} for number in (1, 2)))
log_each("vestnik.sending", "attempt", [])
"""


def written(folder: Path, form: str) -> list[str]:
    """The log of a small program."""
    process = subprocess.run(
        [sys.executable, "-c", WRITE],
        cwd=ROOT,
        env={
            "ENV_FILE": "/dev/null",
            "DATA_DIR": str(folder),
            "SECRET_KEY": KEY,
            "LOG_FORMAT": form,
            "DJANGO_SETTINGS_MODULE": "project.settings",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return process.stderr.splitlines()


def test_json_logs_have_one_event_per_line(tmp_path: Path) -> None:
    ours, bound, library, failure, *attempts = map(json.loads, written(tmp_path, "json"))
    assert ours["event"] == "привет"
    assert (ours["campaign"], ours["request_id"], ours["level"], ours["logger"]) == (7, "abc", "info", "vestnik.test")
    assert ours["timestamp"].endswith("Z")
    assert (bound["message"], bound["request_id"]) == (3, "abc")
    assert (library["event"], library["level"], library["logger"]) == ("plain words", "warning", "library")
    assert failure["exception"][0]["exc_value"] == "broken for 7999***4567"
    assert [(line["event"], line["message"], line["reason"]) for line in attempts] == [
        ("attempt", 1, "отказ"),
        ("attempt", 2, "отказ"),
    ]
    assert attempts[0].keys() - {"message", "reason"} == ours.keys() - {"campaign", "request_id"}
    assert attempts[0]["timestamp"].endswith("Z")


def test_console_logs_have_one_event_per_line(tmp_path: Path) -> None:
    first, second = written(tmp_path, "console")[-2:]
    assert "attempt" in first
    assert "message=1" in first
    assert "message=2" in second


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_shows_no_local_variables(tmp_path: Path, form: str) -> None:
    lines = "\n".join(written(tmp_path, form))
    assert "RuntimeError" in lines
    assert "79991234567" not in lines.replace("phone = 79991234567", "")


def test_a_phone_is_masked() -> None:
    assert mask(79991234567) == "7999***4567"
    assert mask("79991234567") == "7999***4567"
    assert mask(491701234567) == "4917***4567"
    assert mask(372512345) == "37***2345"
    assert mask("1234567") == "***"
    assert mask(mask(372512345)) == mask(372512345)


def formatted(event: dict[str, object] | str) -> dict[str, object]:
    """A line as the JSON log has it."""
    processors = logging_config({"format": "json", "level": "INFO"})["formatters"]["structured"]["processors"]
    record = logging.LogRecord("test", logging.INFO, "", 1, event, None, None)
    if isinstance(event, dict):
        record.__dict__ |= {"_logger": None, "_name": "info"}
    line: dict[str, object] = json.loads(Formatter(processors=processors).format(record))
    return line


@pytest.mark.parametrize(
    ("countries", "text", "masked"),
    [
        (["RU"], "no route for 79991234567.", "no route for 7999***4567."),
        (["RU"], "no route for +49 170 123-45-67", "no route for 4917***4567"),
        (["RU"], "GET /send?to=%2B491701234567&id=1", "GET /send?to=4917***4567&id=1"),
        (["RU"], "message 491701234567", "message 491701234567"),
        (["RU", "DE"], "Key (phone)=(491701234567) exists", "Key (phone)=(4917***4567) exists"),
        (["*"], "to 491701234567", "to 4917***4567"),
        (["*"], "message 1700000000000 at 1700000000", "message 1700000000000 at 1700000000"),
        (["*"], "due 2026-07-01T12:00:00.123456+03:00, 12345678 bytes", None),
    ],
)
def test_phones_in_texts_are_masked(settings: Settings, countries: list[str], text: str, masked: str | None) -> None:
    settings.PHONE_COUNTRIES = countries
    assert formatted(text)["event"] == (masked or text)


def test_fields_of_phones_are_masked_and_other_numbers_stay() -> None:
    ids = {"message": 79991234567, "contact": 491701234567, "ms": 79991234567.5, "phones": 3, "none": None, "ok": True}
    hidden: dict[str, object] = {
        "phone": 491701234567,
        "test_phone": "+49 170 1234567",
        "error": ["+4917012345678"],
    }
    line = formatted({"event": "x", **ids, **hidden})
    assert {name: line[name] for name in ids} == ids
    assert (line["phone"], line["test_phone"], line["error"]) == ("4917***4567", "4917***4567", ["4917***5678"])
    assert formatted({"event": "x", "phones": [372512345]})["phones"] == ["37***2345"]
    assert formatted({"event": "x", "phone": mask(372512345)})["phone"] == "37***2345"


@pytest.mark.parametrize("given", ["abc-123", "a" * 64, "0b7c.11_x"])
def test_given_request_id_is_used_and_returned(client: Client, given: str) -> None:
    assert client.get("/healthz", headers={"X-Request-ID": given})["X-Request-ID"] == given


@pytest.mark.parametrize("given", [None, "", "a" * 65, "two words", "новый", 'x"} {"event":"forged"', "a\tb"])
def test_a_missing_or_strange_request_id_is_replaced(client: Client, given: str | None) -> None:
    headers = {} if given is None else {"X-Request-ID": given}
    made = client.get("/healthz", headers=headers)["X-Request-ID"]
    assert made != given
    assert len(made) == 32
    assert made.isalnum()


def test_a_request_is_one_line(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "vestnik.http"):
        client.get("/nothing-here", {"q": "79991234567"}, headers={"X-Request-ID": "abc"})
    (record,) = [record for record in caplog.records if record.name == "vestnik.http"]
    assert isinstance(record.msg, dict)
    line = {name: record.msg[name] for name in ("event", "method", "path", "status", "request_id")}
    assert line == {
        "event": "request",
        "method": "GET",
        "path": "/nothing-here",
        "status": 404,
        "request_id": "abc",
    }
    assert record.msg["ms"] >= 0


@pytest.mark.parametrize(("path", "host"), [("/users/", "localhost"), ("/nothing", "localhost"), ("/", "evil.org")])
def test_a_refusal_leaves_no_traceback(alice: User, path: str, host: str, caplog: pytest.LogCaptureFixture) -> None:
    answer = browser(alice).get(path, headers={"Host": host})
    assert answer.status_code in (400, 403, 404)
    assert not [record for record in caplog.records if record.exc_info]


def lines_of(caplog: pytest.LogCaptureFixture, *requests: Callable[[], object]) -> list[dict[str, object]]:
    """The log lines of the requests."""
    with caplog.at_level(logging.INFO, "vestnik"):
        for request in requests:
            request()
    return [record.msg for record in caplog.records if isinstance(record.msg, dict)]


def test_a_line_names_the_user_and_what_the_address_is_about_and_the_next_request_does_not(
    alice: User, caplog: pytest.LogCaptureFixture
) -> None:
    contact = factories.contact(alice)
    page, call = browser(alice), ApiClient(alice)
    about, called, visitor = lines_of(
        caplog,
        lambda: page.get(f"/contacts/{contact.pk}/"),
        lambda: call.get("/messages/7"),
        lambda: Client().get("/accounts/login/"),
    )
    assert (about["user"], about["contact"]) == (alice.pk, contact.pk)
    assert (called["user"], called["message"], called["status"]) == (alice.pk, 7, 404)
    assert not visitor.keys() & {"user", "token", "contact", "message"}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "masked"),
    [
        ("/reports/email/off/secret-token/", "/reports/email/off/***/"),
        ("/accounts/password/reset/key/2k-secret/", "/accounts/password/reset/key/2k-***/"),
        ("/contacts/suppression/79991234567/", "/contacts/suppression/***/"),
    ],
)
def test_secrets_in_a_path_are_masked(path: str, masked: str, caplog: pytest.LogCaptureFixture) -> None:
    (line,) = lines_of(caplog, lambda: Client().get(path))
    assert line["path"] == masked


def test_routine_requests_are_not_logged(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "vestnik.http"):
        client.get("/healthz")
    assert not [record for record in caplog.records if record.name == "vestnik.http"]
