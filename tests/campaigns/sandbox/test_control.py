"""The sandbox's control calls, page and command."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
from yarl import URL

from campaigns.sandbox.faults import KINDS, Faults, FaultsError
from campaigns.sandbox.server import Sandbox, running_sandbox
from tests.campaigns.sandbox.client import AUTHORIZATION, root, send

MANAGE = Path(__file__).resolve().parents[3] / "manage.py"


# --- Control over HTTP ---


def test_faults_are_read_and_changed_while_it_runs(sandbox: Sandbox) -> None:
    changed = requests.put(f"{root(sandbox)}/faults", json={"error": 0.25, "retry_after": 5}, timeout=5)
    assert changed.status_code == 200
    assert requests.put(f"{root(sandbox)}/faults", json={"hang": 0.5}, timeout=5).json()["error"] == 0.25
    assert sandbox.faults == Faults(error=0.25, hang=0.5, retry_after=5)
    assert requests.get(f"{root(sandbox)}/faults", timeout=5).json() == sandbox.faults.as_dict()


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"eror": 0.1}, {"eror"}),
        ({"error": 1.5, "latency": -1}, {"error", "latency"}),
        ({"error": "0.1"}, {"error"}),
        ({"error": True}, {"error"}),
        ({"error": None}, {"error"}),
        ({"outage": 1}, {"outage"}),
        ({"retry_after": 1.5}, {"retry_after"}),
        ({"error": 0.6, "code": 0.6}, {"error", "code"}),
    ],
)
def test_wrong_faults_are_refused_by_name_and_change_nothing(
    sandbox: Sandbox, changes: dict[str, object], names: set[str]
) -> None:
    answer = requests.put(f"{root(sandbox)}/faults", json=changes, timeout=5)
    assert answer.status_code == 422
    assert answer.json()["detail"].keys() == names
    assert sandbox.faults == Faults()


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff"])
def test_a_change_that_is_no_json_object_is_refused(sandbox: Sandbox, body: bytes) -> None:
    assert requests.put(f"{root(sandbox)}/faults", data=body, timeout=5).status_code == 400


@pytest.mark.parametrize("body", [{}, {"on": "yes"}, {"on": None}])
def test_an_outage_is_on_or_off(sandbox: Sandbox, body: dict[str, object]) -> None:
    assert requests.post(f"{root(sandbox)}/outage", json=body, timeout=5).status_code == 422


def test_the_ledger_is_read_and_cleared_over_http(sandbox: Sandbox) -> None:
    for msg_id in (3, 1, 3):
        send(sandbox, msg_id)
    rows = [json.loads(line) for line in requests.get(f"{root(sandbox)}/accepted", timeout=5).text.splitlines()]
    assert [(row["id"], row["times"]) for row in rows] == [(3, 2), (1, 1)]
    assert rows[0]["digest"] == rows[1]["digest"]
    assert rows[0]["first_at"] < rows[0]["last_at"]
    assert requests.get(f"{root(sandbox)}/stats", timeout=5).json()["accepted"] == 2
    assert requests.delete(f"{root(sandbox)}/stats", timeout=5).json()["accepted"] == 0
    assert requests.get(f"{root(sandbox)}/accepted", timeout=5).text == ""


# --- The page ---


def test_the_page_shows_the_last_messages_masked_and_escaped(sandbox: Sandbox) -> None:
    send(sandbox, 41, text="<script>alert(1)</script>")
    page = requests.get(f"{root(sandbox)}/", timeout=5)
    assert page.status_code == 200
    assert "script-src" not in page.text
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
    assert "7999***4567" in page.text
    assert "79991234567" not in page.text


def test_the_page_shows_only_the_last_fifty(sandbox: Sandbox) -> None:
    for msg_id in range(100, 160):
        send(sandbox, msg_id)
    page = requests.get(f"{root(sandbox)}/", timeout=5).text
    assert "<td>159</td>" in page
    assert "<td>110</td>" in page
    assert "<td>109</td>" not in page


def test_the_form_changes_faults_and_redirects(sandbox: Sandbox) -> None:
    fields = dict.fromkeys(KINDS, "0") | {"error": "0.5", "retry_after": "3", "retry_after_date": "true"}
    answer = requests.post(f"{root(sandbox)}/", data=fields, timeout=5)
    assert [step.status_code for step in answer.history] == [303]
    assert sandbox.faults == Faults(error=0.5, retry_after=3, retry_after_date=True)
    assert "50 % of all requests fail" in answer.text


def test_the_form_shows_errors_and_keeps_the_input(sandbox: Sandbox) -> None:
    answer = requests.post(f"{root(sandbox)}/", data={"error": '7"><b>', "code": "0.5"}, timeout=5)
    assert answer.status_code == 422
    assert "must be a number from 0 to 1" in answer.text
    assert 'value="7&quot;&gt;&lt;b&gt;"' in answer.text
    assert sandbox.faults == Faults()


def test_the_buttons_switch_the_outage_and_clear_the_counts(sandbox: Sandbox) -> None:
    send(sandbox)
    assert "End outage" in requests.post(f"{root(sandbox)}/", data={"outage": "true"}, timeout=5).text
    assert sandbox.faults.outage
    requests.post(f"{root(sandbox)}/", data={"clear": "1"}, timeout=5)
    assert sandbox.ledger.stats()["requests"] == 0


@pytest.mark.parametrize("path", ["/vestnik.css", "/htmx.js", "/favicon.svg"])
def test_the_page_serves_its_own_assets(sandbox: Sandbox, path: str) -> None:
    assert f'"{path}"' in requests.get(f"{root(sandbox)}/", timeout=5).text
    assert requests.get(f"{root(sandbox)}{path}", timeout=5).status_code == 200


# --- Faults as a value ---


def test_all_shares_may_add_up_to_one() -> None:
    assert Faults().updated({"error": 0.1, "code": 0.2, "html": 0.7}).total == 1


@pytest.mark.parametrize("text", ["NaN", "Infinity", "", "five", "1e999", "[]"])
def test_a_share_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(FaultsError, match="error: must be a number from 0 to 1"):
        Faults().updated_from_text({"error": text})


# --- The command ---


def command(*options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(MANAGE), "sandbox", *options],
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def listening_at(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().split()[3].rstrip(",")


def post(url: str, msg_id: int, timeout: float) -> requests.Response:
    payload = {"id": msg_id, "phone": 79991234567, "text": "Hello"}
    return requests.post(f"{url}/send/{msg_id}", json=payload, headers=AUTHORIZATION, timeout=timeout)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_stops_at_once_even_while_a_request_hangs(number: signal.Signals) -> None:
    with command("--port", "0", "--fault", "hang=1") as process:
        url = listening_at(process)
        with pytest.raises(requests.ReadTimeout):
            post(url, 1, timeout=0.3)
        process.send_signal(number)
        _, errors = process.communicate(timeout=10)  # aiohttp would wait a minute for the request
    assert (process.returncode, errors) == (0, "")


def test_the_command_logs_every_request_without_phone_or_text(tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    with command("--port", "0", "--latency", "0.05", "--log", str(log)) as process:
        url = listening_at(process)
        before = time.time()
        post(url, 5, timeout=5)
        post(url, 5, timeout=5)
        entries = [json.loads(line) for line in log.read_text().splitlines()]
        process.terminate()
    assert [(entry["id"], entry["outcome"]) for entry in entries] == [(5, "accepted"), (5, "repeat")]
    assert before <= entries[0]["at"] <= time.time()
    assert entries[0]["took"] >= 0.05
    assert entries[0].keys() == {"at", "monotonic", "took", "id", "outcome", "payload"}


def test_a_port_in_use_is_reported_in_one_line() -> None:
    with running_sandbox() as taken:
        port = str(URL(taken.url).port)
        with command("--port", port) as process:
            _, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    assert errors.count("\n") == 1
    assert "address already in use" in errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--fault", "bogus=1"), "bogus: no such setting"),
        (("--fault", "error"), "error: must be a number from 0 to 1"),
        (("--latency", "soon"), "latency: must be a number from 0 to 86400"),
        (("--port", "99999"), "port must be 0-65535"),
    ],
)
def test_a_wrong_option_is_reported_in_one_line(options: tuple[str, ...], message: str) -> None:
    with command(*options) as process:
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    assert errors.count("\n") == 1
    assert message in errors
