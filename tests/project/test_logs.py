"""Log lines: their shape, their ids, and what never stands in them."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from django.test import Client

from project.logs import mask
from tests.project.test_settings import ROOT

WRITE = """
import django, logging, structlog
django.setup()
log = structlog.get_logger("vestnik.test")
with structlog.contextvars.bound_contextvars(request_id="abc"):
    log.info("привет", campaign=7)
logging.getLogger("library").warning("plain %s", "words")
def fail():
    phone = 79991234567
    raise RuntimeError("broken")
try:
    fail()
except RuntimeError:
    log.exception("failed")
from project.logs import log_each
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
            "SECRET_KEY": "k" * 50,
            "LOG_FORMAT": form,
            "DJANGO_SETTINGS_MODULE": "project.settings",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return process.stderr.splitlines()


def test_json_is_one_event_a_line_ours_and_the_libraries(tmp_path: Path) -> None:
    ours, library, failure, *attempts = map(json.loads, written(tmp_path, "json"))
    assert ours["event"] == "привет"
    assert (ours["campaign"], ours["request_id"], ours["level"], ours["logger"]) == (7, "abc", "info", "vestnik.test")
    assert ours["timestamp"].endswith("Z")
    assert (library["event"], library["level"], library["logger"]) == ("plain words", "warning", "library")
    assert failure["exception"][0]["exc_value"] == "broken"
    assert [(line["event"], line["message"], line["reason"]) for line in attempts] == [
        ("attempt", 1, "отказ"),
        ("attempt", 2, "отказ"),
    ]
    assert attempts[0].keys() - {"message", "reason"} == ours.keys() - {"campaign", "request_id"}
    assert attempts[0]["timestamp"].endswith("Z")


def test_many_events_are_a_line_each_for_people_too(tmp_path: Path) -> None:
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
    assert mask("1234567") == "***"


@pytest.mark.parametrize("given", ["abc-123", "a" * 64, "0b7c.11_x"])
def test_a_request_id_is_taken_and_answered(client: Client, given: str) -> None:
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
    told = {name: record.msg[name] for name in ("event", "method", "path", "status", "request_id")}
    assert told == {
        "event": "request",
        "method": "GET",
        "path": "/nothing-here",
        "status": 404,
        "request_id": "abc",
    }
    assert record.msg["ms"] >= 0


def test_routine_requests_are_not_told(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "vestnik.http"):
        client.get("/healthz")
    assert not [record for record in caplog.records if record.name == "vestnik.http"]
