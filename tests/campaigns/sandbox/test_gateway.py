"""The sandbox gateway as its clients see it: real HTTP on loopback."""

import json
import socket
import time
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import requests
from django.conf import settings
from yarl import URL

from campaigns.sandbox.faults import Faults
from campaigns.sandbox.server import Sandbox, running_sandbox
from tests.campaigns.sandbox.client import AUTHORIZATION, root, send

# --- The protocol ---


def test_a_message_is_accepted_and_kept(sandbox: Sandbox) -> None:
    answer = send(sandbox, 2**63 - 1)
    assert (answer.status_code, answer.json()) == (200, {"code": 0, "message": "OK"})
    assert answer.headers["Content-Type"] == "application/json"
    assert sandbox.ledger.messages[2**63 - 1].times == 1
    assert sandbox.ledger.stats() == {
        "requests": 1,
        "accepted": 1,
        "repeats": 0,
        "conflicts": 0,
        "early": 0,
        "redirected": 0,
        "outcomes": {"accepted": 1},
    }


def test_the_same_message_again_is_the_same_message(sandbox: Sandbox) -> None:
    assert [send(sandbox, 7).json()["code"] for _ in range(3)] == [0, 0, 0]
    assert (sandbox.ledger.accepted, sandbox.ledger.repeats, sandbox.ledger.messages[7].times) == (1, 2, 3)


@pytest.mark.parametrize("other", [{"text": "Bye"}, {"phone": 79991234568}])
def test_another_payload_with_the_same_id_is_a_conflict(sandbox: Sandbox, other: dict[str, Any]) -> None:
    send(sandbox, 7)
    assert send(sandbox, 7, **other).status_code == 409
    assert send(sandbox, 7).status_code == 200
    assert (sandbox.ledger.accepted, sandbox.ledger.conflicts) == (1, 1)


@pytest.mark.parametrize("phone", [49301234, 491701234567, 10**15 - 1])
def test_phones_of_all_countries_are_accepted(sandbox: Sandbox, phone: int) -> None:
    assert send(sandbox, phone=phone).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer"}])
def test_a_wrong_token_is_refused(sandbox: Sandbox, headers: dict[str, str]) -> None:
    assert send(sandbox, headers=headers).status_code == 401
    assert sandbox.ledger.stats()["outcomes"] == {"denied": 1}


@pytest.mark.parametrize(
    "fields",
    [
        {"id": 2},
        {"id": "1"},
        {"id": True},
        {"phone": "79991234567"},
        {"phone": 4930123},
        {"phone": 10**15},
        {"phone": 79991234567.0},
        {"phone": None},
        {"text": ""},
        {"text": 5},
        {"text": "\ud800"},
    ],
)
def test_a_wrong_field_is_refused(sandbox: Sandbox, fields: dict[str, Any]) -> None:
    answer = send(sandbox, **fields)
    assert (answer.status_code, answer.json()["code"]) == (400, 400)
    assert sandbox.ledger.stats()["outcomes"] == {"invalid": 1}


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[1]", b"null", b"[" * 100_000])
def test_a_body_that_is_no_json_object_is_refused(sandbox: Sandbox, body: bytes) -> None:
    assert post_raw(sandbox, body).status_code == 400


@pytest.mark.parametrize("msg_id", [2**63, -(2**63) - 1, "abc", "1.0", "1_0", "--1", "٣", "", "1/2", "9" * 5_000])
def test_an_id_that_is_no_int64_is_refused(sandbox: Sandbox, msg_id: object) -> None:
    assert send(sandbox, msg_id).status_code == 404
    assert sandbox.ledger.accepted == 0


def test_a_body_over_a_mebibyte_is_refused(sandbox: Sandbox) -> None:
    assert send(sandbox, text="x" * 2**20).status_code == 413


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/send/1", 405), ("PATCH", "/stats", 405), ("GET", "/v1/other", 404), ("GET", "/favicon.ico", 404)],
)
def test_an_unknown_call_is_refused(sandbox: Sandbox, method: str, path: str, status: int) -> None:
    assert requests.request(method, f"{root(sandbox)}{path}", timeout=5).status_code == status


@pytest.mark.parametrize("head", ["HTTP/1.0", "HTTP/1.1\r\nConnection: close"])
def test_a_client_without_keep_alive_sees_the_end_of_the_connection(sandbox: Sandbox, head: str) -> None:
    body = json.dumps({"id": 1, "phone": 79991234567, "text": "Hello"})
    with connection(sandbox) as raw:
        raw.sendall(f"POST /v1/send/1 {head}\r\n{credentials(body)}\r\n\r\n{body}".encode())
        assert received(raw).endswith(b'{"code": 0, "message": "OK"}')


def test_one_connection_carries_many_messages(sandbox: Sandbox) -> None:
    with requests.Session() as session:
        for msg_id in range(20):
            payload = {"id": msg_id, "phone": 79991234567, "text": "Hello"}
            session.post(f"{sandbox.url}/send/{msg_id}", json=payload, headers=AUTHORIZATION, timeout=5)
    assert sandbox.ledger.accepted == 20


@pytest.mark.parametrize("call", ["POST /v1/send/1", "PUT /faults", "POST /"])
def test_a_client_that_disconnects_during_its_request_does_no_harm(
    sandbox: Sandbox, call: str, caplog: pytest.LogCaptureFixture
) -> None:
    with connection(sandbox) as raw:
        raw.sendall(f"{call} HTTP/1.1\r\n{credentials('x' * 50)}\r\n\r\n{{".encode())
    assert send(sandbox, 2).status_code == 200
    assert not caplog.records


@pytest.mark.parametrize("call", ["POST /v1/send/1", "PUT /faults", "POST /"])
def test_a_body_that_is_not_encoded_as_it_says_is_refused(sandbox: Sandbox, call: str) -> None:
    with connection(sandbox) as raw:
        head = f"{call} HTTP/1.1\r\n{credentials('abc')}\r\nContent-Encoding: gzip\r\nConnection: close"
        raw.sendall(f"{head}\r\n\r\nabc".encode())
        assert received(raw).startswith(b"HTTP/1.1 400 ")


def post_raw(sandbox: Sandbox, body: bytes) -> requests.Response:
    return requests.post(f"{sandbox.url}/send/1", data=body, headers=AUTHORIZATION, timeout=5)


def connection(sandbox: Sandbox) -> socket.socket:
    return socket.create_connection(("127.0.0.1", URL(sandbox.url).port or 0), timeout=5)


def credentials(body: str) -> str:
    return f"Host: sandbox\r\nAuthorization: Bearer {settings.GATEWAY_TOKEN}\r\nContent-Length: {len(body)}"


def received(raw: socket.socket) -> bytes:
    chunks = []
    while chunk := raw.recv(65536):
        chunks.append(chunk)
    return b"".join(chunks)


# --- Faults ---


def always(kind: str, **settings: Any) -> Faults:
    return Faults(**{kind: 1.0, **settings})


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("error", 500),
        ("unavailable", 503),
        ("throttle", 429),
        ("unauthorized", 401),
        ("refuse", 400),
        ("redirect", 302),
    ],
)
def test_a_fault_answers_with_its_status(sandbox: Sandbox, kind: str, status: int) -> None:
    sandbox.faults = always(kind)
    assert send(sandbox).status_code == status
    assert (sandbox.ledger.accepted, sandbox.ledger.outcomes[kind]) == (0, 1)


def test_html_comes_with_200(sandbox: Sandbox) -> None:
    sandbox.faults = always("html")
    answer = send(sandbox)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert sandbox.ledger.accepted == 0


def test_broken_json_comes_with_200(sandbox: Sandbox) -> None:
    sandbox.faults = always("broken")
    answer = send(sandbox)
    assert answer.status_code == 200
    with pytest.raises(requests.JSONDecodeError):
        answer.json()
    assert sandbox.ledger.accepted == 0


def test_another_code_comes_with_200(sandbox: Sandbox) -> None:
    sandbox.faults = always("code")
    answer = send(sandbox)
    assert (answer.status_code, answer.json()["code"]) == (200, 17)
    assert sandbox.ledger.accepted == 0


def test_a_huge_answer_is_over_64_kib(sandbox: Sandbox) -> None:
    sandbox.faults = always("huge")
    answer = send(sandbox)
    assert answer.status_code == 200
    assert len(answer.content) > 65536
    assert sandbox.ledger.accepted == 0


def test_a_dripping_answer_comes_byte_by_byte(sandbox: Sandbox) -> None:
    sandbox.faults = always("drip")
    with requests.post(
        f"{sandbox.url}/send/1",
        json={"id": 1, "phone": 79991234567, "text": "Hello"},
        headers=AUTHORIZATION,
        timeout=5,
        stream=True,
    ) as answer:
        started = time.monotonic()
        assert answer.raw.read(2) == b'{"'
        assert time.monotonic() - started > 0.9
    assert sandbox.ledger.accepted == 1


def test_a_reset_leaves_no_message(sandbox: Sandbox) -> None:
    sandbox.faults = always("reset")
    with pytest.raises(requests.ConnectionError, match="reset"):
        send(sandbox)
    assert sandbox.ledger.stats()["outcomes"] == {"reset": 1}
    assert sandbox.ledger.accepted == 0


def test_a_lost_answer_leaves_the_message_accepted(sandbox: Sandbox) -> None:
    sandbox.faults = always("lost")
    with pytest.raises(requests.ConnectionError, match="reset"):
        send(sandbox)
    sandbox.faults = Faults()
    assert send(sandbox).status_code == 200
    assert (sandbox.ledger.accepted, sandbox.ledger.repeats) == (1, 1)


def test_a_hanging_request_is_closed_without_an_answer(sandbox: Sandbox) -> None:
    sandbox.faults = always("hang", hang_seconds=0.3)
    started = time.monotonic()
    with pytest.raises(requests.ConnectionError):
        send(sandbox)
    assert time.monotonic() - started >= 0.3
    assert sandbox.ledger.accepted == 0


def test_clients_that_follow_the_redirect_are_counted(sandbox: Sandbox) -> None:
    sandbox.faults = always("redirect")
    location = send(sandbox).headers["Location"]
    assert sandbox.ledger.redirected == 0
    requests.get(f"{root(sandbox)}{location}", timeout=5)
    assert sandbox.ledger.redirected == 1


def test_an_outage_drops_every_request_but_not_its_own_switch(sandbox: Sandbox) -> None:
    requests.post(f"{root(sandbox)}/outage", json={"on": True}, timeout=5)
    with pytest.raises(requests.ConnectionError):
        send(sandbox)
    requests.post(f"{root(sandbox)}/outage", json={"on": False}, timeout=5)
    assert send(sandbox).status_code == 200
    assert sandbox.ledger.stats()["outcomes"] == {"outage": 1, "accepted": 1}


def test_latency_and_jitter_delay_the_answer(sandbox: Sandbox) -> None:
    sandbox.faults = Faults(latency=0.2, jitter=0.1)
    started = time.monotonic()
    send(sandbox)
    assert time.monotonic() - started >= 0.2


def test_faults_come_in_their_shares(sandbox: Sandbox) -> None:
    faults = Faults(error=0.2, throttle=0.1)
    met = [faults.pick((number + 0.5) / 1000) for number in range(1000)]
    assert (met.count("error"), met.count("throttle"), met.count(None)) == (200, 100, 700)


def test_the_same_seed_gives_the_same_faults() -> None:
    def statuses() -> list[int]:
        with running_sandbox(Faults(error=0.5), seed=42) as sandbox:
            return [send(sandbox, msg_id).status_code for msg_id in range(20)]

    first = statuses()
    assert set(first) == {200, 500}
    assert statuses() == first


# --- Retry-After ---


@pytest.mark.parametrize("kind", ["throttle", "unavailable"])
def test_retry_after_says_how_long_to_wait(sandbox: Sandbox, kind: str) -> None:
    sandbox.faults = always(kind, retry_after=3)
    assert send(sandbox).headers["Retry-After"] == "3"


def test_retry_after_is_sometimes_a_date(sandbox: Sandbox) -> None:
    sandbox.faults = always("throttle", retry_after=30, retry_after_date=True)
    values = [send(sandbox).headers["Retry-After"] for _ in range(20)]
    assert "30" in values
    date = parsedate_to_datetime(next(value for value in values if value.endswith("GMT")))
    assert 25 < date.timestamp() - time.time() <= 31


def test_a_request_within_a_retry_after_is_early(sandbox: Sandbox) -> None:
    sandbox.faults = always("throttle", retry_after=60, early_grace=0)
    send(sandbox)
    assert sandbox.ledger.early == 0
    send(sandbox)
    assert sandbox.ledger.early == 1


def test_a_request_already_under_way_is_not_early(sandbox: Sandbox) -> None:
    sandbox.faults = always("throttle", retry_after=60, early_grace=60)
    send(sandbox)
    send(sandbox)
    assert sandbox.ledger.early == 0


def test_a_request_after_the_retry_after_is_not_early(sandbox: Sandbox) -> None:
    sandbox.faults = always("throttle", retry_after=0, early_grace=0)
    send(sandbox)
    send(sandbox)
    assert sandbox.ledger.early == 0
