"""One contract for every adapter: what each answer of a gateway means. An adapter adds only how its own says yes."""

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from campaigns import connections
from campaigns.gateways.base import (
    Adapter,
    Answer,
    Callback,
    NotAReceipt,
    Outcome,
    Receipt,
    Trouble,
    Verdict,
)
from campaigns.gateways.kannel import Kannel
from campaigns.gateways.probe import Probe

CERTAIN = {Trouble.UNREACHABLE, Trouble.UNRESOLVED, Trouble.TLS, Trouble.TOO_LATE}
ADAPTERS = connections.ADAPTERS
WAITS = [408, 425, 429, 500, 501, 502, 503, 504, 507, 599]
REFUSALS = [400, 402, 404, 405, 409, 410, 413, 414, 415, 422, 451, 499]


def adapter_of(kind: str) -> Adapter:
    return ADAPTERS[kind](kind, "https://gateway.example/v1", "user:secret")


@pytest.fixture(params=sorted(ADAPTERS))
def adapter(request: pytest.FixtureRequest) -> Adapter:
    """Each of the adapters in turn."""
    return adapter_of(request.param)


@pytest.fixture
def probe() -> Probe:
    return Probe("https://gateway.example/v1/", "secret")


def parse(adapter: Adapter, body: str | bytes = b"", **fields: Any) -> Outcome:
    return adapter.parse(Answer(body=body.encode() if isinstance(body, str) else body, **fields))


class TestEveryAdapter:
    def test_it_is_found_by_its_name(self, adapter: Adapter, settings: Settings) -> None:
        settings.GATEWAY = adapter.name
        assert connections.adapter().name == adapter.name

    @pytest.mark.parametrize("status", REFUSALS)
    def test_a_client_error_is_final(self, adapter: Adapter, status: int) -> None:
        assert parse(adapter, '{"code": 0}', status=status) == Outcome(Verdict.REFUSED, f"http_{status}")
        assert parse(adapter, status=status, retry_after=5.0).verdict == Verdict.REFUSED

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_refused_token_is_not_the_messages_fault(self, adapter: Adapter, status: int) -> None:
        assert parse(adapter, '{"code": 0}', status=status) == Outcome(Verdict.UNAUTHORISED, f"http_{status}")

    @pytest.mark.parametrize("status", WAITS)
    def test_what_may_pass_is_tried_again(self, adapter: Adapter, status: int) -> None:
        outcome = parse(adapter, '{"code": 0}', status=status)
        assert (outcome.verdict, outcome.reason, outcome.hold) == (Verdict.RETRY, f"http_{status}", None)

    @pytest.mark.parametrize("status", WAITS)
    @pytest.mark.parametrize(
        ("asked", "kept"), [(0.0, 1), (0.2, 1), (1.0, 1), (37.0, 37), (900.0, 900), (86_400.0, 900)]
    )
    def test_retry_after_is_honoured_within_limits(
        self, adapter: Adapter, status: int, asked: float, kept: float
    ) -> None:
        outcome = parse(adapter, status=status, retry_after=asked)
        assert (outcome.verdict, outcome.hold) == (Verdict.RETRY, kept)

    @pytest.mark.parametrize("status", [500, 502, 504, 520])
    def test_after_a_server_error_nobody_knows(self, adapter: Adapter, status: int) -> None:
        assert parse(adapter, status=status).uncertain

    @pytest.mark.parametrize("status", [408, 425, 429, 503])
    def test_an_overloaded_gateway_has_not_accepted(self, adapter: Adapter, status: int) -> None:
        assert not parse(adapter, status=status).uncertain

    @pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
    def test_a_redirect_is_tried_again_and_not_followed(self, adapter: Adapter, status: int) -> None:
        assert parse(adapter, '{"code": 0}', status=status) == Outcome(Verdict.RETRY, "redirect")

    @pytest.mark.parametrize("trouble", Trouble)
    def test_without_an_answer_it_is_tried_again(self, adapter: Adapter, trouble: Trouble) -> None:
        for status in (0, 200, 401, 500):
            outcome = parse(adapter, '{"code": 0}', status=status, trouble=trouble)
            assert outcome == Outcome(Verdict.RETRY, trouble.value, uncertain=trouble not in CERTAIN)

    @pytest.mark.parametrize("status", [200, 201, 202, 204])
    @pytest.mark.parametrize("body", ["", " ", "<h1>OK</h1>", "\0", "null", "[0]", "1", '"OK"', "true", "{}"])
    def test_an_answer_that_says_nothing_is_no_yes(self, adapter: Adapter, status: int, body: str) -> None:
        if adapter.name == "kannel" and status == 202:
            pytest.skip("Kannel says yes by the status alone")
        outcome = parse(adapter, body, status=status)
        assert (outcome.verdict, outcome.uncertain, outcome.hold) == (Verdict.RETRY, True, None)
        assert outcome.reason

    @pytest.mark.parametrize("name", sorted(ADAPTERS))
    @given(
        status=st.integers(-1, 1000),
        body=st.binary() | st.text().map(str.encode) | st.from_regex(rb'\{"code": ?.{0,20}'),
        retry_after=st.none() | st.floats(allow_nan=False),
        trouble=st.none() | st.sampled_from(Trouble),
    )
    def test_no_answer_breaks_it(
        self, name: str, status: int, body: bytes, retry_after: float | None, trouble: Trouble | None
    ) -> None:
        outcome = adapter_of(name).parse(Answer(status, body, retry_after, trouble))
        assert len(outcome.reason) <= 40
        assert outcome.hold is None or 1 <= outcome.hold <= 900
        assert (outcome.verdict != Verdict.SENT) or (trouble is None and 200 <= status < 300)

    @given(message_id=st.integers(1, 2**63 - 1), phone=st.integers(70000000000, 79999999999), text=st.text())
    @pytest.mark.parametrize("name", sorted(ADAPTERS))
    def test_every_message_makes_a_request(self, name: str, message_id: int, phone: int, text: str) -> None:
        adapter = adapter_of(name)
        first, again = (adapter.build(message_id, phone, text) for _ in range(2))
        assert first == again
        assert urlsplit(first.url).scheme in ("http", "https")
        assert first.url.isascii()

    def test_general_receipts_are_read(self, adapter: Adapter) -> None:
        if adapter.kind == "kannel":
            pytest.skip("it has a form of its own")
        body = b'[{"id": 7, "status": "delivered"}, {"id": "8", "status": "undelivered", "reason": "absent"},'
        body += b' {"id": 9, "status": "buffered"}, {"id": 10, "status": "undelivered", "reason": "<b>"}]'
        assert adapter.parse_receipts(Callback({}, body)) == [
            Receipt(7, delivered=True),
            Receipt(8, delivered=False, reason="absent"),
            Receipt(10, delivered=False),
        ]
        assert adapter.parse_receipts(Callback({}, b'{"id": 7, "status": "delivered"}')) == [Receipt(7, delivered=True)]

    @pytest.mark.parametrize("name", sorted(ADAPTERS))
    @given(
        query=st.dictionaries(st.sampled_from(["status", "message", "x"]), st.text() | st.integers().map(str)),
        body=st.binary() | st.from_regex(rb'\{"id": ?[0-9]{1,25}, "status": ?"delivered.{0,20}'),
    )
    def test_no_callback_breaks_it(self, name: str, query: dict[str, str], body: bytes) -> None:
        try:
            receipts = adapter_of(name).parse_receipts(Callback(query, body))
        except NotAReceipt:
            return
        assert all(0 < receipt.message_id < 2**63 for receipt in receipts)


class TestKannel:
    @pytest.fixture
    def kannel(self) -> Kannel:
        return Kannel("http://kannel:13013", "vest&nik", "ge heim", "https://sms.example.org/api/v1/callbacks/k?key=K")

    def test_a_request_is_the_contracts(self, kannel: Kannel) -> None:
        request = kannel.build(7, 79991234567, "Привет & 1+1 €")
        assert (kannel.method, request.body, kannel.idempotent) == ("GET", b"", False)
        assert request.url.startswith("http://kannel:13013/cgi-bin/sendsms?")
        assert dict(parse_qsl(urlsplit(request.url).query, strict_parsing=True)) == {
            "username": "vest&nik",
            "password": "ge heim",
            "to": "79991234567",
            "text": "Привет & 1+1 €",
            "charset": "UTF-8",
            "coding": "2",
            "dlr-mask": "19",
            "dlr-url": "https://sms.example.org/api/v1/callbacks/k?key=K&status=%d&message=7",
        }

    def test_what_fits_gsm_7_has_no_coding(self, kannel: Kannel) -> None:
        assert "coding" not in kannel.build(7, 79991234567, "Hello {€}").url

    def test_its_address_may_be_another(self) -> None:
        other = Kannel("https://kannel/send", "u", "p", "https://x/y?key=K")
        assert other.build(7, 79991234567, "a").url.startswith("https://kannel/send?username=u&")

    @pytest.mark.parametrize("body", ["0: Accepted for delivery", "3: Queued for later delivery", ""])
    def test_202_is_a_yes(self, kannel: Kannel, body: str) -> None:
        assert parse(kannel, body, status=202) == Outcome(Verdict.SENT)

    def test_its_refusals_are_told_apart(self, kannel: Kannel) -> None:
        assert parse(kannel, "Authorization failed for sendsms", status=403).verdict == Verdict.UNAUTHORISED
        assert parse(kannel, "Not routable. Do not try again.", status=403) == Outcome(Verdict.REFUSED, "unroutable")
        assert parse(kannel, "Temporal failure, try again later.", status=503) == Outcome(Verdict.RETRY, "http_503")
        assert parse(kannel, "0: Accepted for delivery", status=200) == Outcome(
            Verdict.RETRY, "not_accepted", uncertain=True
        )

    @pytest.mark.parametrize(
        ("status", "receipts"),
        [
            ("1", [Receipt(7, delivered=True)]),
            ("2", [Receipt(7, delivered=False, reason="not_delivered")]),
            ("16", [Receipt(7, delivered=False, reason="refused_by_centre")]),
            ("4", []),
            ("8", []),
            ("34", []),
        ],
    )
    def test_receipts_are_the_contracts(self, kannel: Kannel, status: str, receipts: list[Receipt]) -> None:
        assert kannel.parse_receipts(Callback({"status": status, "message": "7"}, b"")) == receipts

    @pytest.mark.parametrize(
        "query", [{}, {"status": "%d", "message": "7"}, {"status": "1"}, {"status": "1", "message": "0"}]
    )
    def test_nonsense_is_none(self, kannel: Kannel, query: dict[str, str]) -> None:
        with pytest.raises(NotAReceipt):
            kannel.parse_receipts(Callback(query, b""))


class TestProbe:
    def test_a_request_is_the_contracts(self, probe: Probe) -> None:
        request = probe.build(2**63 - 1, 79991234567, 'Привет, "Анна" 😀\n')
        assert request.url == f"https://gateway.example/v1/send/{2**63 - 1}"
        assert json.loads(request.body) == {"id": 2**63 - 1, "phone": 79991234567, "text": 'Привет, "Анна" 😀\n'}
        assert b'"phone": 79991234567' in request.body
        assert "Authorization: Bearer secret" in probe.headers
        assert probe.idempotent

    @pytest.mark.parametrize("url", ["https://gateway.example/v1", "https://gateway.example/v1//"])
    def test_its_address_may_end_in_a_slash(self, url: str) -> None:
        assert Probe(url, "t").build(7, 79991234567, "a").url == "https://gateway.example/v1/send/7"

    @pytest.mark.parametrize("status", [200, 201, 202])
    @pytest.mark.parametrize(
        "body",
        [
            '{"code": 0, "message": "OK"}',
            '{"code":0}',
            ' {"code": 0.0}\n',
            '{"message": "ОК", "code": 0, "more": [{}]}',
        ],
    )
    def test_only_code_0_is_a_yes(self, probe: Probe, status: int, body: str) -> None:
        assert parse(probe, body, status=status) == Outcome(Verdict.SENT)

    @pytest.mark.parametrize(
        "body",
        [
            '{"code": "0"}',
            '{"code": true}',
            '{"code": false}',
            '{"code": null}',
            '{"code": 1}',
            '{"code": -1}',
            '{"code": 1e-9}',
            '{"code": [0]}',
            '{"code": {}}',
            '{"Code": 0}',
            '{"message": "OK"}',
        ],
    )
    def test_another_code_is_not(self, probe: Probe, body: str) -> None:
        assert parse(probe, body, status=200) == Outcome(Verdict.RETRY, "wrong_code", uncertain=True)

    @pytest.mark.parametrize(
        "body",
        [
            b'{"code": 0, "mess',
            b'{"code": 0} {"code": 0}',
            b"{'code': 0}",
            b'{"code": NaN}',
            b'{"code": 0, "x": NaN}',
            b'{"code": 0, "x": -Infinity}',
            b'{"code": 0, "x": ' + b"9" * 5000 + b"}",
            b'{"code": 0, "x": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
            b"[" * 60_000,
            '{"code": 0, "message": "Принято"}'.encode("cp1251"),
            '{"code": 0}'.encode("utf-16"),
            b'\xff{"code": 0}',
            b'{"code": 0}\x00',
            b"\x1f\x8b\x08\x00",
            b"code=0",
        ],
        ids=range(15),
    )
    def test_what_is_not_json_is_not(self, probe: Probe, body: bytes) -> None:
        assert parse(probe, body, status=200) == Outcome(Verdict.RETRY, "not_json", uncertain=True)

    def test_an_answer_that_was_cut_off_at_the_limit_is_not_read(self, probe: Probe) -> None:
        outcome = parse(probe, '{"code": 0}', status=200, trouble=Trouble.OVERSIZED)
        assert outcome == Outcome(Verdict.RETRY, "oversized", uncertain=True)
