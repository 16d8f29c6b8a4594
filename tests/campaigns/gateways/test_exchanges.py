"""The log of exchanges: what it contains, what it never contains, and how long it is kept."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import quote_plus, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import User
from campaigns.gateways import exchanges, registry
from campaigns.gateways.definitions.presets import presets
from campaigns.gateways.exchanges import Recorder
from campaigns.gateways.protocol import Answer, Callback, InvalidReceipt, Outcome, Verdict
from campaigns.models import Exchange, Gateway
from campaigns.tasks import sweep
from project.core.clock import now
from tests.conftest import ApiClient

pytestmark = pytest.mark.django_db

PRESETS = presets()
SECRET = "s3cret/token+4711"
phones = st.sampled_from([79165550142, 77015550142, 4915123456789])
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=8, max_size=70).filter(
    lambda text: len(text.strip()) > 7 and not set("…•.") & set(text)
)
secrets = st.text("abcdefghKLMNOP0123456789+/=&%ü", min_size=12, max_size=40)


def gateway(preset: str, secret: str = SECRET) -> Gateway:
    definition = PRESETS[preset]
    hidden = {name: secret for name, field in definition.fields.items() if field.secret}
    options = {name: f"my-{name}" for name, field in definition.fields.items() if not field.secret}
    return Gateway.objects.update_or_create(
        name="second",
        defaults={
            "kind": "http",
            "preset": preset,
            "url": "http://127.0.0.1:9",
            "options": options,
            "secret": json.dumps(hidden),
        },
    )[0]


def columns() -> str:
    """All columns of all rows."""
    return "\n".join(str(value) for row in Exchange.objects.values_list() for value in row)


def key() -> str:
    return registry.callback_address("second").partition("key=")[2]


@contextmanager
def recorded() -> Iterator[None]:
    Exchange.objects.all().delete()
    yield
    assert Exchange.objects.exists()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(PRESETS)), phones, texts, secrets, st.sampled_from([str, quote_plus, json.dumps]))
def test_nothing_personal_or_secret_is_in_any_column(
    preset: str, phone: int, text: str, secret: str, encode: Any
) -> None:
    gateway(preset, secret)
    echo = f"to={phone}&body={encode(text)}&token={encode(secret)}&key={key()}".encode()
    with recorded():
        row = Recorder("second").sent(17, phone, text, Answer(400, echo), Outcome(Verdict.REFUSED, "http_400"))
        Exchange.objects.bulk_create([row])
        found = columns()
        assert not [bad for bad in (str(phone), str(phone)[1:], str(phone)[3:], text, secret, key()) if bad in found]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["twilio", "infobip", "vonage", "jasmin"]), texts, phones)
def test_nothing_personal_is_kept_of_an_incoming_message(preset: str, text: str, phone: int) -> None:
    row = gateway(preset)
    example = PRESETS[preset].examples["incoming"][0]
    expected, kind = example["expect"][0], PRESETS[preset].incoming
    encode: Any = {"json": lambda value: json.dumps(value)[1:-1], "form": quote_plus}.get(
        kind.body if kind else "", str
    )
    body = example.get("body", "").replace(encode(expected["text"]), encode(text))
    body = body.replace(expected["from"].lstrip("+"), str(phone))
    query = {
        name: {expected["text"]: text, expected["from"]: str(phone)}.get(value, value)
        for name, value in example.get("query", {}).items()
    }
    callback = Callback({"key": key(), **query}, body.encode())
    reported = registry.driver(row.name).parse_callback(callback)
    assert [message.text for message in reported.incoming] == [text.strip()]
    with recorded():
        Exchange.objects.bulk_create([Recorder("second").received("POST", callback, reported)])
        found = columns()
        assert not [bad for bad in (str(phone), str(phone)[1:], text.strip(), key()) if bad in found]
    assert Exchange.objects.get().verdict == "read"


def test_a_callback_that_cannot_be_read_is_kept_without_phones() -> None:
    gateway("twilio")
    callback = Callback(
        {"key": key(), "x": "+7 (916) 555-01-42"}, b'{"from": "79165550142", "token": "s3cret/token+4711"}'
    )
    exchanges.log_callback("second", "POST", callback, InvalidReceipt("The body is not form."))
    row = Exchange.objects.get()
    assert (row.direction, row.verdict, row.answer, row.method) == ("in", "unread", "The body is not form.", "POST")
    assert (row.url, row.request) == ("?key=•••&x=+•••42", '{"from": "•••42", "token": "•••"}')


def test_the_last_hundred_of_a_day_are_kept(admin: User) -> None:
    def row(number: int, name: str = "probe", age: float = 0) -> Exchange:
        at = now() - timedelta(hours=age)
        return Exchange(gateway=name, at=at, method="GET", url=str(number), verdict="sent")

    Exchange.objects.bulk_create([row(0, age=25), *(row(number) for number in range(1, 131)), row(1, "other")])
    sweep()
    kept = list(Exchange.objects.filter(gateway="probe").order_by("pk").values_list("url", flat=True))
    assert kept == [str(number) for number in range(31, 131)]
    assert Exchange.objects.filter(gateway="other").count() == 1
    answer: Any = ApiClient(admin).get("/gateways/probe/exchanges")
    assert [item["url"] for item in answer.json()["items"]] == kept[::-1]


def test_receipts_are_logged(admin: User) -> None:
    client = ApiClient()
    address = registry.callback_address("probe").partition("/api/v1")[2]
    body = {"id": 17, "status": "delivered"}
    client.post(address, body, content_type="application/json")
    client.post(address, {"nothing": 1}, content_type="application/json")
    client.post(f"/callbacks/probe?{urlencode({'key': 'wrong'})}", body, content_type="application/json")
    read, unread = Exchange.objects.order_by("pk")
    assert (read.verdict, read.message_id, unread.verdict) == ("read", 17, "unread")
    assert read.request == '{"id": 17, "status": "delivered"}'
    assert registry.callback_address("probe").partition("key=")[2] not in columns()
