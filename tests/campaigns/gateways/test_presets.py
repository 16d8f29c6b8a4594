"""Each preset does what its examples from the provider's documentation say."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import xmltodict

from campaigns.gateways.definitions.presets import presets
from campaigns.gateways.definitions.schema import Definition
from campaigns.gateways.protocol import Answer, Callback, Request, Verdict
from tests.campaigns.gateways.providers import CALLBACK, provider

PRESETS = presets()
MESSAGE_ID, PHONE, TEXT = 123456789, 79991234567, 'Hello & <good> "day" 5€'
VERDICTS = {
    "accepted": (Verdict.SENT, False),
    "refused": (Verdict.REFUSED, False),
    "retry": (Verdict.RETRY, False),
    "hold": (Verdict.HELD, False),
    "no_money": (Verdict.UNAUTHORISED, False),
    "unauthorised": (Verdict.UNAUTHORISED, False),
    "uncertain": (Verdict.RETRY, True),
}


def examples(kind: str) -> Iterator[Any]:
    """The examples of that kind of all presets."""
    for name, definition in PRESETS.items():
        for number, example in enumerate(definition.examples.get(kind, [])):
            yield pytest.param(definition, example, id=f"{name}-{number}")


def driver_for(definition: Definition) -> Any:
    request = definition.examples.get("request", {})
    return provider(definition, definition.url or "https://account.example.com", **request.get("fields", {}))


def body_of(example: dict[str, Any]) -> bytes:
    return str(example.get("body", "")).encode()


def decoded(request: Request | dict[str, Any]) -> tuple[Any, Any, Any]:
    """Address, parameters and body of a request, read by independent parsers."""
    url, body = (
        (request.url, request.body.decode())
        if isinstance(request, Request)
        else (request["url"], request.get("body", ""))
    )
    parts = urlsplit(url)
    content: Any
    if body[:1] in "{[" and body:
        content = json.loads(body)
    elif body[:1] == "<":
        content = xmltodict.parse(body)
    else:
        content = parse_qsl(body, keep_blank_values=True)
    return f"{parts.scheme}://{parts.netloc}{parts.path}", parse_qsl(parts.query, keep_blank_values=True), content


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_documented_and_has_its_examples(name: str) -> None:
    definition = PRESETS[name]
    assert definition.documentation
    assert definition.checked_on
    assert "request" in definition.examples
    outcomes = {example["outcome"] for example in definition.examples["answers"]}
    assert {"accepted", "refused"} <= outcomes
    assert definition.receipts is None or definition.examples["receipts"]
    assert definition.incoming is None or definition.examples["incoming"]


@pytest.mark.parametrize("name", PRESETS)
def test_the_request_is_the_documented_one(name: str) -> None:
    definition = PRESETS[name]
    example = definition.examples["request"]
    built = driver_for(definition).build(MESSAGE_ID, PHONE, TEXT, example.get("sender", ""))
    callback = f"{CALLBACK}&message={MESSAGE_ID}"
    assert repr(decoded(built)).replace(callback, "CALLBACK") == repr(decoded(example))


@pytest.mark.parametrize(("definition", "example"), list(examples("answers")))
def test_answers_mean_what_the_documentation_says(definition: Definition, example: dict[str, Any]) -> None:
    outcome = driver_for(definition).parse(Answer(example["status"], body_of(example), example.get("retry_after")))
    assert (outcome.verdict, outcome.uncertain) == VERDICTS[example["outcome"]]
    assert list(outcome.ids) == example.get("ids", [])
    if "reason" in example:
        assert outcome.reason == example["reason"]


@pytest.mark.parametrize(("definition", "example"), list(examples("receipts")))
def test_receipts_are_read(definition: Definition, example: dict[str, Any]) -> None:
    receipts = driver_for(definition).parse_callback(callback_of(example)).receipts
    found = [
        {"id": r.provider_id, "message": r.message_id, "delivered": r.delivered, "reason": r.reason} for r in receipts
    ]
    expected = example["expect"]
    assert [{key: row[key] for key in want} for row, want in zip(found, expected, strict=True)] == expected


@pytest.mark.parametrize(("definition", "example"), list(examples("incoming")))
def test_incoming_messages_are_read(definition: Definition, example: dict[str, Any]) -> None:
    incoming = driver_for(definition).parse_callback(callback_of(example)).incoming
    found = [{"from": m.phone, "to": m.recipient, "text": m.text, "id": m.provider_id} for m in incoming]
    expected = example["expect"]
    assert [{key: row[key] for key in want} for row, want in zip(found, expected, strict=True)] == expected


@pytest.mark.parametrize(("definition", "example"), list(examples("pulls")))
def test_pulled_receipts_are_read(definition: Definition, example: dict[str, Any]) -> None:
    driver, ids = driver_for(definition), [row["id"] for row in example["expect"]] or ["30"]
    assert ids[0] in driver.pull(ids).url + driver.pull(ids).body.decode()
    found = [{"id": r.provider_id, "delivered": r.delivered} for r in driver.pulled(ids, body_of(example))]
    assert found == example["expect"]


def callback_of(example: dict[str, Any]) -> Callback:
    headers = {name.lower(): value for name, value in example.get("headers", {}).items()}
    return Callback({k: str(v) for k, v in example.get("query", {}).items()}, body_of(example), headers)
