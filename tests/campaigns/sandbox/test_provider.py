"""The sandbox speaks every preset's dialect: what our driver sends is read, and what it answers is understood."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests

from campaigns.gateways.definitions.presets import presets
from campaigns.gateways.definitions.schema import Definition
from campaigns.gateways.drivers.http import Http
from campaigns.gateways.protocol import Answer, Connection, Incoming, Receipt, Request, Verdict
from campaigns.sandbox.dialect import Dialect
from campaigns.sandbox.faults import Faults
from campaigns.sandbox.server import ProviderSandbox, serving
from campaigns.sending.transport import transport_for
from tests.campaigns.sandbox.callbacks import callback_server
from tests.stack import wait_for

PRESETS = presets()
PHONE, TEXT, LONG = 79991234567, 'Hello & <good> "day" 5€', "Привет " * 20


@pytest.fixture(params=sorted(PRESETS))
def definition(request: pytest.FixtureRequest) -> Definition:
    """Each preset in turn."""
    return PRESETS[request.param]


@contextmanager
def playing(definition: Definition, faults: Faults | None = None, callback: str = "") -> Iterator[ProviderSandbox]:
    sandbox = ProviderSandbox(
        faults or Faults(), token="s3cret-token", seed=1, dialect=Dialect(definition, "s3cret-token"), callback=callback
    )
    with serving(sandbox):
        yield sandbox


def driver_of(definition: Definition, url: str, callback: str, secret: str = "s3cret-token") -> Http:
    given = definition.examples["request"].get("fields", {})
    fields = {name: secret if field.secret else given.get(name, "x1") for name, field in definition.fields.items()}
    return Http.connect(Connection("p", url, callback=callback, definition=definition, fields=fields))


def exchange(driver: Http, request: Request) -> Answer:
    transport = transport_for(driver, request)
    transport.submit(None, request, 10)
    answer: Answer
    [(_, answer)] = wait_for(lambda: transport.poll(0.05), "the answer")
    transport.close()
    return answer


def test_messages_are_read_and_answers_understood(definition: Definition) -> None:
    with playing(definition) as sandbox:
        driver = driver_of(definition, sandbox.url, "http://127.0.0.1:9/c?key=k")
        outcomes = [driver.parse(exchange(driver, driver.build(n, PHONE, TEXT, "Acme"))) for n in (1, 2)]
        assert [outcome.verdict for outcome in outcomes] == [Verdict.SENT] * 2
        assert [arrival.message.text for arrival in sandbox.ledger.last] == [TEXT] * 2
        assert str(PHONE).endswith(str(sandbox.ledger.last[0].message.phone))
        ids = [provider_id for outcome in outcomes for provider_id in outcome.ids]
        assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("fault", "verdicts"),
    [
        ("refuse", {Verdict.REFUSED}),
        ("no_money", {Verdict.UNAUTHORISED, Verdict.REFUSED}),
        ("unauthorized", {Verdict.UNAUTHORISED}),
        ("throttle", {Verdict.HELD, Verdict.RETRY}),
        ("html", {Verdict.RETRY}),
        ("broken", {Verdict.RETRY}),
        ("huge", {Verdict.RETRY}),
        ("redirect", {Verdict.RETRY}),
        ("reset", {Verdict.RETRY}),
        ("lost", {Verdict.RETRY}),
        ("error", {Verdict.RETRY}),
    ],
)
def test_faults_mean_what_they_should(definition: Definition, fault: str, verdicts: set[Verdict]) -> None:
    with playing(definition, Faults().updated({fault: 1.0})) as sandbox:
        driver = driver_of(definition, sandbox.url, "http://127.0.0.1:9/c?key=k")
        if fault == "broken" and definition.answer.body == "text":
            pytest.skip("half of a text is a text")
        assert driver.parse(exchange(driver, driver.build(1, PHONE, TEXT, "Acme"))).verdict in verdicts


def test_wrong_credentials_are_refused_and_the_check_shows_it(definition: Definition) -> None:
    with playing(definition) as sandbox:
        right, wrong = (driver_of(definition, sandbox.url, "", secret) for secret in ("s3cret-token", "wrong"))
        answer = exchange(wrong, wrong.build(1, PHONE, TEXT, "Acme"))
        if any(field.secret and field.required for field in definition.fields.values()):
            assert wrong.parse(answer).verdict == Verdict.UNAUTHORISED
            assert wrong.checked(exchange(wrong, wrong.check()))
        assert right.checked(exchange(right, right.check())) == ""


@pytest.mark.parametrize("undelivered", [0, 1])
@pytest.mark.parametrize("text", [TEXT, LONG], ids=["short", "long"])
def test_receipts_are_understood(definition: Definition, undelivered: float, text: str) -> None:
    if definition.receipts is None:
        pytest.skip("no receipts")
    faults = Faults(receipt_after=0.05, receipt_twice=1.0, undelivered=undelivered)
    with callback_server() as (address, kept), playing(definition, faults, address) as sandbox:
        driver = driver_of(definition, sandbox.url, address)
        outcome = driver.parse(exchange(driver, driver.build(7, PHONE, text, "Acme")))
        expected = 2 * max(1, len(outcome.ids))
        wait_for(lambda: len(kept) == expected, "the receipts")
        receipts: list[Receipt] = [r for callback in kept for r in driver.parse_callback(callback.callback).receipts]
        assert len(receipts) == expected
        assert {receipt.delivered for receipt in receipts} == {not undelivered}
        assert all(receipt.provider_id in outcome.ids or receipt.message_id == 7 for receipt in receipts)


def test_incoming_messages_are_understood(definition: Definition) -> None:
    if definition.incoming is None:
        pytest.skip("no incoming messages")
    with callback_server() as (address, kept), playing(definition, callback=address) as sandbox:
        driver = driver_of(definition, sandbox.url, address)
        exchange(driver, driver.build(7, PHONE, TEXT, "Acme"))
        sandbox_loop(sandbox, str(PHONE), "СТОП & <b>")
        wait_for(lambda: kept and any(driver.parse_callback(c.callback).incoming for c in kept), "the incoming message")
        found: list[Incoming] = [m for callback in kept for m in driver.parse_callback(callback.callback).incoming]
        assert [(m.phone.removeprefix("+"), m.text) for m in found] == [(str(PHONE), "СТОП & <b>")]


def sandbox_loop(sandbox: ProviderSandbox, phone: str, text: str) -> None:
    """Send an incoming message as the sandbox's page does."""
    answer = requests.post(f"{sandbox.url}/", data={"incoming_phone": phone, "incoming_text": text}, timeout=10)
    assert answer.status_code == 200
