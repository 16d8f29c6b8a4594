"""The contract of all drivers: the meaning of a gateway's answers. Drivers differ only in what means accepted."""

import json
import re
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from campaigns.gateways import registry
from campaigns.gateways.drivers import ADDABLE, DRIVERS
from campaigns.gateways.drivers.kannel import Kannel
from campaigns.gateways.drivers.probe import Probe
from campaigns.gateways.forms import GatewayForm
from campaigns.gateways.protocol import (
    Acknowledgement,
    Answer,
    Callback,
    Connection,
    Driver,
    Incoming,
    InvalidReceipt,
    Outcome,
    Receipt,
    TransportFailure,
    Verdict,
)
from campaigns.models import Gateway
from campaigns.wording import reason_words
from tests.campaigns.gateways.providers import example_definition

CERTAIN = {
    TransportFailure.NO_FILES,
    TransportFailure.UNREACHABLE,
    TransportFailure.UNRESOLVED,
    TransportFailure.TLS,
    TransportFailure.TOO_LATE,
}
WAITS = [408, 425, 429, 500, 501, 502, 503, 504, 507, 599]
REFUSALS = [400, 402, 404, 405, 409, 410, 413, 414, 415, 422, 451, 499]


def driver_of(kind: str) -> Driver:
    definition = example_definition() if DRIVERS[kind].described else None
    address, callback = "https://gateway.example/v1", "https://sms.example/c?key=k"
    return DRIVERS[kind].connect(Connection(kind, address, "user", "secret", callback, definition))


@pytest.fixture(params=sorted(DRIVERS))
def driver(request: pytest.FixtureRequest) -> Driver:
    """Each driver in turn."""
    return driver_of(request.param)


@pytest.fixture
def probe() -> Probe:
    return Probe("https://gateway.example/v1/", "secret")


def parse(driver: Driver, body: str | bytes = b"", **fields: Any) -> Outcome:
    return driver.parse(Answer(body=body.encode() if isinstance(body, str) else body, **fields))


class TestEveryDriver:
    def test_an_adapter_is_found_by_its_name(self, driver: Driver, settings: Settings) -> None:
        if driver.described:
            pytest.skip("the settings can't contain a description")
        settings.GATEWAY = driver.name
        assert registry.driver().name == driver.name

    @pytest.mark.parametrize("status", REFUSALS)
    def test_a_client_error_is_final(self, driver: Driver, status: int) -> None:
        if driver.described and status == 402:
            pytest.skip("the account has no money")
        assert parse(driver, '{"code": 0}', status=status) == Outcome(Verdict.REFUSED, f"http_{status}")
        assert parse(driver, status=status, retry_after=5.0).verdict == Verdict.REFUSED

    @pytest.mark.parametrize("status", [401, 403])
    def test_refused_credentials_do_not_fail_the_message(self, driver: Driver, status: int) -> None:
        assert parse(driver, '{"code": 0}', status=status) == Outcome(Verdict.UNAUTHORISED, f"http_{status}")

    @pytest.mark.parametrize("status", WAITS)
    def test_temporary_errors_are_retried(self, driver: Driver, status: int) -> None:
        outcome = parse(driver, '{"code": 0}', status=status)
        assert (outcome.verdict, outcome.reason, outcome.hold) == (Verdict.RETRY, f"http_{status}", None)

    @pytest.mark.parametrize("status", WAITS)
    @pytest.mark.parametrize(
        ("asked", "kept"), [(0.0, 1), (0.2, 1), (1.0, 1), (37.0, 37), (86_400.0, 86_400), (90_000.0, 86_400)]
    )
    def test_retry_after_is_honoured_within_limits(
        self, driver: Driver, status: int, asked: float, kept: float
    ) -> None:
        outcome = parse(driver, status=status, retry_after=asked)
        assert (outcome.verdict, outcome.hold) == (Verdict.RETRY, kept)

    @pytest.mark.parametrize("status", [500, 502, 504, 520])
    def test_a_server_error_is_uncertain(self, driver: Driver, status: int) -> None:
        assert parse(driver, status=status).uncertain

    @pytest.mark.parametrize("status", [408, 425, 429, 503])
    def test_an_overloaded_gateway_has_not_accepted(self, driver: Driver, status: int) -> None:
        assert not parse(driver, status=status).uncertain

    @pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
    def test_a_redirect_is_tried_again_and_not_followed(self, driver: Driver, status: int) -> None:
        assert parse(driver, '{"code": 0}', status=status) == Outcome(Verdict.RETRY, "redirect")

    @pytest.mark.parametrize("failure", TransportFailure)
    def test_a_missing_answer_is_retried(self, driver: Driver, failure: TransportFailure) -> None:
        for status in (0, 200, 401, 500):
            outcome = parse(driver, '{"code": 0}', status=status, failure=failure)
            assert outcome == Outcome(Verdict.RETRY, failure.value, uncertain=failure not in CERTAIN)

    @pytest.mark.parametrize("status", [200, 201, 202, 204])
    @pytest.mark.parametrize("body", ["", " ", "<h1>OK</h1>", "\0", "null", "[0]", "1", '"OK"', "true", "{}"])
    def test_a_meaningless_answer_is_not_acceptance(self, driver: Driver, status: int, body: str) -> None:
        outcome = parse(driver, body, status=status)
        if status in driver.accepts_by_status:
            assert outcome == Outcome(Verdict.SENT)
            return
        assert (outcome.verdict, outcome.uncertain, outcome.hold) == (Verdict.RETRY, True, None)
        assert outcome.reason in driver.reasons

    @pytest.mark.parametrize("name", sorted(DRIVERS))
    @given(
        status=st.integers(-1, 1000),
        body=st.binary() | st.text().map(str.encode) | st.from_regex(rb'\{"code": ?.{0,20}'),
        retry_after=st.none() | st.floats(allow_nan=False),
        failure=st.none() | st.sampled_from(TransportFailure),
    )
    def test_arbitrary_answers_are_handled(
        self, name: str, status: int, body: bytes, retry_after: float | None, failure: TransportFailure | None
    ) -> None:
        outcome = driver_of(name).parse(Answer(status, body, retry_after, failure))
        assert len(outcome.reason) <= 40
        assert outcome.hold is None or 1 <= outcome.hold <= 86_400
        assert (outcome.verdict != Verdict.SENT) or (failure is None and 200 <= status < 300)

    @given(message_id=st.integers(1, 2**63 - 1), phone=st.integers(70000000000, 79999999999), text=st.text())
    @pytest.mark.parametrize("name", sorted(DRIVERS))
    def test_every_message_makes_a_request(self, name: str, message_id: int, phone: int, text: str) -> None:
        driver = driver_of(name)
        first, again = (driver.build(message_id, phone, text) for _ in range(2))
        assert first == again
        assert urlsplit(first.url).scheme in ("http", "https")
        assert first.url.isascii()

    def test_general_receipts_are_read(self, driver: Driver) -> None:
        if driver.described or type(driver).parse_receipts is not Driver.parse_receipts:
            pytest.skip("it has its own format")
        body = b'[{"id": 7, "status": "delivered"}, {"id": "8", "status": "undelivered", "reason": "absent"},'
        body += b' {"id": 9, "status": "buffered"}, {"id": 10, "status": "undelivered", "reason": "<b>"}]'
        assert driver.parse_receipts(Callback({}, body)) == [
            Receipt(7, delivered=True),
            Receipt(8, delivered=False, reason="absent"),
            Receipt(10, delivered=False),
        ]
        assert driver.parse_receipts(Callback({}, b'{"id": 7, "status": "delivered"}')) == [Receipt(7, delivered=True)]

    @pytest.mark.parametrize("name", sorted(DRIVERS))
    @given(
        query=st.dictionaries(st.sampled_from(["status", "message", "x"]), st.text() | st.integers().map(str)),
        body=st.binary() | st.from_regex(rb'\{"id": ?[0-9]{1,25}, "status": ?"delivered.{0,20}'),
    )
    def test_arbitrary_callbacks_are_handled(self, name: str, query: dict[str, str], body: bytes) -> None:
        try:
            receipts = driver_of(name).parse_callback(Callback(query, body)).receipts
        except InvalidReceipt:
            return
        assert all(receipt.provider_id or 0 < (receipt.message_id or 0) < 2**63 for receipt in receipts)


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

    @pytest.mark.parametrize("sender", ["Vest & Nik", "+12025550123", "4711"])
    def test_a_sender_name_is_sent_along(self, kannel: Kannel, sender: str) -> None:
        query = dict(parse_qsl(urlsplit(kannel.build(7, 79991234567, "Hello", sender).url).query))
        assert query["from"] == sender
        assert "from=" not in kannel.build(7, 79991234567, "Hello").url

    def test_a_gsm_7_text_has_no_coding(self, kannel: Kannel) -> None:
        assert "coding" not in kannel.build(7, 79991234567, "Hello {€}").url

    def test_the_path_of_the_address_can_be_changed(self) -> None:
        other = Kannel("https://kannel/send", "u", "p", "https://x/y?key=K")
        assert other.build(7, 79991234567, "a").url.startswith("https://kannel/send?username=u&")

    @pytest.mark.parametrize("body", ["0: Accepted for delivery", "3: Queued for later delivery", ""])
    def test_202_means_accepted(self, kannel: Kannel, body: str) -> None:
        assert parse(kannel, body, status=202) == Outcome(Verdict.SENT)

    def test_refusals_are_distinguished(self, kannel: Kannel) -> None:
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
            ("34", [Receipt(7, delivered=False, reason="expired")]),
            ("18", [Receipt(7, delivered=False, reason="refused_by_centre")]),
            ("3", [Receipt(7, delivered=False, reason="not_delivered")]),
            ("9", [Receipt(7, delivered=True)]),
            ("12", []),
            ("32", []),
        ],
    )
    def test_receipts_are_the_contracts(self, kannel: Kannel, status: str, receipts: list[Receipt]) -> None:
        assert kannel.parse_receipts(Callback({"status": status, "message": "7"}, b"")) == receipts

    @pytest.mark.parametrize(
        "query", [{}, {"status": "%d", "message": "7"}, {"status": "1"}, {"status": "1", "message": "0"}]
    )
    def test_malformed_receipts_are_rejected(self, kannel: Kannel, query: dict[str, str]) -> None:
        with pytest.raises(InvalidReceipt):
            kannel.parse_receipts(Callback(query, b""))

    @pytest.mark.parametrize(
        ("content_type", "body", "text"),
        [
            ('text/plain; charset="UTF-16BE"', "СТОП 😀".encode("utf-16-be"), "СТОП 😀"),
            ('text/plain; charset="UTF-8"', "Hello é".encode(), "Hello é"),
            ("", "СТОП".encode(), "СТОП"),
            ("text/plain; charset=klingon", b"stop", "stop"),
            ("text/plain; charset=hex", b"stop", "stop"),
            ("text/plain; charset=utf-16-be", b"\x04", "�"),
            ("application/octet-stream", b"\xff", "�"),
        ],
    )
    def test_a_message_from_a_phone_is_read_in_the_encoding_that_kannel_names(
        self, kannel: Kannel, content_type: str, body: bytes, text: str
    ) -> None:
        query = {"from": "+79161234567", "to": "4711", "id": "i-1", "time": "1796002866"}
        (message,) = kannel.parse_callback(Callback(query, body, {"content-type": content_type})).incoming
        moment = datetime.fromtimestamp(1796002866, UTC)
        assert message == Incoming("+79161234567", text, "i-1", "4711", moment)

    @pytest.mark.parametrize("time", ["", "soon", "9" * 11, "-1", "²"])
    def test_a_message_from_a_phone_may_be_in_the_address(self, kannel: Kannel, time: str) -> None:
        reported = kannel.parse_callback(Callback({"from": "79161234567", "text": "СТОП", "time": time}, b""))
        assert (reported.incoming, reported.receipts) == ([Incoming("79161234567", "СТОП")], ())
        assert kannel.acknowledgement == Acknowledgement(200, "text/plain", "")


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
    def test_only_code_0_means_accepted(self, probe: Probe, status: int, body: str) -> None:
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
    def test_another_code_is_not_acceptance(self, probe: Probe, body: str) -> None:
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
    def test_invalid_json_is_not_acceptance(self, probe: Probe, body: bytes) -> None:
        assert parse(probe, body, status=200) == Outcome(Verdict.RETRY, "not_json", uncertain=True)

    def test_an_answer_that_was_cut_off_at_the_limit_is_not_read(self, probe: Probe) -> None:
        outcome = parse(probe, '{"code": 0}', status=200, failure=TransportFailure.OVERSIZED)
        assert outcome == Outcome(Verdict.RETRY, "oversized", uncertain=True)


def test_the_table_in_the_docs_is_what_the_drivers_say() -> None:
    page = (settings.BASE_DIR / "docs" / "gateways.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]*?) ?\|", page, re.MULTILINE))
    same = {True: "one message", False: "two messages"}
    assert rows == {kind: "" if driver.offline else same[driver.idempotent] for kind, driver in DRIVERS.items()}


def test_a_reason_code_has_one_text() -> None:
    texts = {(code, text) for driver in DRIVERS.values() for code, text in driver.reasons.items()}
    assert len(texts) == len(dict(texts))


@pytest.mark.django_db
def test_a_new_kind_can_be_chosen_everywhere_once_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mirror(Probe):
        kind, label = "mirror", "Mirror"
        needs_username = True
        reasons = MappingProxyType({"shattered": "The mirror is broken"})

    monkeypatch.setitem(DRIVERS, "mirror", Mirror)
    monkeypatch.setitem(ADDABLE, "mirror", Mirror)
    fields = GatewayForm().fields
    assert ("mirror", "Mirror") in fields["kind"].choices  # type: ignore[attr-defined]
    assert fields["username"].help_text == "Only for Kannel, Mirror."
    assert reason_words("shattered") == "The mirror is broken"
    row = Gateway.objects.create(name="m", kind="mirror", url="https://mirror.example/v1", secret="s")
    assert isinstance(registry.driver("m"), Mirror)
    assert row.kind_label == "Mirror"
