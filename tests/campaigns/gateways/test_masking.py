"""Nothing secret or personal is left in what is shown, whatever its encoding."""

import html
import json
import re
from base64 import b64encode
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.gateways.definitions.presets import presets
from campaigns.gateways.drivers.http import Http
from campaigns.gateways.drivers.kannel import Kannel
from campaigns.gateways.drivers.probe import Probe
from campaigns.gateways.masking import (
    MAX_READ,
    SHOWN_CHARACTERS,
    HiddenPhone,
    Masker,
    hidden_connection,
    shown_request,
    spellings_of_secrets,
)
from campaigns.gateways.protocol import Connection, Driver

PHONE, SECRET, KEY = 79991234567, "s3cret/&=+Ü", "callback-key-4711"
PRESETS = presets()
ENCODINGS: list[Callable[[str], str]] = [
    str,
    quote,
    quote_plus,
    lambda text: quote(text, safe=""),
    lambda text: re.sub("%..", lambda found: found[0].lower(), quote(text, safe="")),
    json.dumps,
    lambda text: json.dumps(text, ensure_ascii=False),
    html.escape,
    lambda text: "".join(f"&#{ord(character)};" for character in text),
    lambda text: quote_plus(json.dumps(text)),
    lambda text: json.dumps(quote(text)),
    lambda text: html.escape(json.dumps(text)),
]
words = (
    st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("0123456789 "), min_size=12, max_size=80)
    .map(str.strip)
    .filter(lambda text: len(text) > 8 and "…" not in text and "•" not in text)
)


def connection_for(kind: str) -> tuple[type[Driver], Connection]:
    callback = f"https://sms.example.org/api/v1/callbacks/x?key={KEY}"
    if kind == "kannel":
        return Kannel, Connection("x", "http://127.0.0.1:13013", "user", SECRET, callback)
    if kind == "probe":
        return Probe, Connection("x", "http://127.0.0.1:8090/v1", "", SECRET, callback)
    definition = PRESETS[kind]
    fields = {name: SECRET if field.secret else f"my-{name}" for name, field in definition.fields.items()}
    url = definition.url or "https://sms.example.com"
    return Http, Connection("x", url, "", "", callback, definition, fields)


@pytest.mark.parametrize("kind", ["kannel", "probe", *sorted(PRESETS)])
@pytest.mark.parametrize("text", ["Your code is 4711, dear friend", "Ваш код 4711, дорогой друг"])
def test_a_shown_request_has_no_secret_phone_or_text(kind: str, text: str) -> None:
    driver_class, connection = connection_for(kind)
    driver = driver_class.connect(hidden_connection(connection))
    phone = HiddenPhone(PHONE)
    stand_in = "..." if text.isascii() else "…"
    shown = shown_request(driver, driver.build(17, phone, stand_in, "Acme"), phone)
    everything = "\n".join([shown.url, *shown.headers, shown.body])
    assert not [bad for bad in ("s3cret", KEY, "9991234567", "99912345", "4711") if bad in everything]
    assert "z0HIDDEN0z" not in everything
    assert b64encode(b"z0HIDDEN0z").decode()[:12] not in everything
    assert "•••67" in everything
    real = driver_class.connect(connection)
    assert shown.method == (real.build(17, PHONE, text).method or real.method)
    assert spellings_of_secrets(connection, real) >= {SECRET, KEY}


def test_the_basic_header_counts_as_a_secret() -> None:
    driver_class, connection = connection_for("twilio")
    driver = driver_class.connect(connection)
    pair = b64encode(f"my-account:{SECRET}".encode()).decode()
    assert f"Authorization: Basic {pair}" in driver.headers
    assert pair not in Masker(spellings_of_secrets(connection, driver)).masked(f"You sent Basic {pair}.")


@given(words, words, st.sampled_from(ENCODINGS), st.sampled_from(ENCODINGS))
def test_secrets_and_texts_are_found_in_every_encoding(
    secret: str, text: str, encode: Callable[[str], str], encode_other: Callable[[str], str]
) -> None:
    answer = f'{{"echo": {encode(text)}, "token": {encode_other(secret)}}}'
    masked = Masker([secret], texts=[text], any_phone=True).body(answer.encode())
    for decode in (str, html.unescape):
        assert secret not in decode(masked)
        assert text not in decode(masked)


@pytest.mark.parametrize(
    "spelling",
    [
        "79991234567",
        "+79991234567",
        "9991234567",
        "8 (999) 123-45-67",
        "+7 999 123 45 67",
        "%2B79991234567",
        "\\u002b79991234567",
        "tel:+7-999-123-45-67",
        "7.999.123.45.67",
    ],
)
@pytest.mark.parametrize("any_phone", [True, False])
def test_of_a_phone_two_digits_are_left(spelling: str, *, any_phone: bool) -> None:
    masker = Masker([], phones=[] if any_phone else [PHONE], any_phone=any_phone)
    masked = masker.masked(f'{{"to": "{spelling}", "at": "2026-11-30 10:00"}}')
    assert "•••67" in masked
    assert sum(map(str.isdigit, masked.partition('"at"')[0].replace("u002b", ""))) <= 3
    assert "2026-11-30 10:00" in masked


def test_a_part_of_the_text_is_hidden() -> None:
    masker = Masker([], texts=["Dear Hippolyte, your code is 4711"])
    assert masker.masked('{"queued": "Dear Hippolyte, yo..."}') == '{"queued": "……..."}'.replace("……", "…")
    assert masker.masked("Dear John") == "Dear John"


def test_texts_in_hexadecimal_are_hidden() -> None:
    digits = "Привет".encode("utf-16-be").hex()
    masker = Masker([], texts=["Привет"])
    assert masker.masked(f"{digits} {digits.upper()}") == "… …"


def test_long_and_unreadable_bodies_are_cut() -> None:
    masker = Masker(["secret"])
    assert masker.body(b"\xff\xfe\xfd") == "(3 bytes)"
    assert len(masker.body(b"x" * MAX_READ)) == SHOWN_CHARACTERS + 2
    assert "secre" not in masker.body(b"x" * (SHOWN_CHARACTERS - 3) + b"secret")
    assert masker.body(b"a\x00b") == "a\N{REPLACEMENT CHARACTER}b"
    assert masker.body(b'"\\ud83d"').isprintable()
