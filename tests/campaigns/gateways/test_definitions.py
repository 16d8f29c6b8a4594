"""Descriptions of providers: what they may contain, how requests are built, and how answers and callbacks are read."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.dom import minidom

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.gateways.definitions.paths import Path, Unreadable, read, texts_at
from campaigns.gateways.definitions.schema import MAX_LENGTH, InvalidDefinition, load
from campaigns.gateways.drivers.http import Http
from campaigns.gateways.protocol import (
    Acknowledgement,
    Answer,
    Callback,
    Incoming,
    InvalidReceipt,
    Outcome,
    Receipt,
    Reported,
    TransportFailure,
    Verdict,
)
from tests.campaigns.gateways.providers import CALLBACK, example_text, minimal, provider

FORM = '[request]\nurl = "{url}/send"\n[request.form]\nto = "{phone}"\ntext = "{text}"\nfrom = "{sender}"'
GET = (
    '[request]\nmethod = "GET"\nurl = "{url}/send"\n[request.query]\nto = "{phone}"\ntext = "{text}"\nfrom = "{sender}"'
)
XML = (
    '[request]\nurl = "{url}/send"\n'
    "xml = '''<sms to=\"{phone}\" from=\"{sender}\"><text lang=\"{text}\">{text}</text></sms>'''"
)
JSON = (
    '[request]\nurl = "{url}/send"\n[request.json]\nto = "{phone:int}"\nparts = [{text = "{text}", from = "{sender}"}]'
)


def field(name: str, *, secret: bool = False) -> str:
    return f'[fields.{name}]\nlabel = "{name}"\nsecret = {str(secret).lower()}'


class TestLoading:
    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("version = ", "not TOML"),
            ("version = 1", "request: Field required"),
            (minimal(head="version2 = 1"), "version2: Extra inputs"),
            (minimal().replace("version = 1", "version = 2"), "version: Input should be 1"),
            (minimal(request='[request]\nurl = "https://evil.example/{phone}"'), "Begin with {url}"),
            (minimal(request='[request]\nurl = "{url}.evil.example/{phone}"'), "Begin with {url}"),
            (minimal(request='[request]\nurl = "{url}@evil.example/{phone}"'), "Begin with {url}"),
            (minimal(request='[request]\nurl = "{url}/{secret}"'), "{secret} is not a variable here"),
            (minimal(request='[request]\nurl = "{url}/{phone"'), "single brace"),
            (minimal(request='[request]\nurl = "{url}"\n[request.headers]\nX = "{text}"'), "{text} is not a variable"),
            (minimal(request='[request]\nurl = "{url}"\n[request.headers]\n"X\\r\\nY" = "1"'), "should match"),
            (minimal(request='[request]\nurl = "{url}"\n[request.headers]\nX = "a\\nb"'), "No line breaks"),
            (minimal(request='[request]\nmethod = "GET"\nurl = "{url}"\n[request.form]\na = "b"'), "GET has none"),
            (minimal(request='[request]\nurl = "{url}"\nxml = "<a/>"\n[request.form]\na = "b"'), "one body"),
            (minimal(request='[request]\nurl = "{url}"\ncharset = "klingon"'), "“klingon” is not known"),
            (minimal(answer='[answer]\nbody = "json"\nrules = []'), "at least 1 item"),
            (minimal(answer='[answer]\nbody = "json"\n[[answer.rules]]\noutcome = "maybe"'), "answer.rules.0.outcome"),
            (minimal(answer='[answer]\nbody = "json"\n[[answer.rules]]\npath = "a"\noutcome = "retry"'), "Write path"),
            (
                minimal(answer='[answer]\nbody = "json"\nids = "a..b"\n[[answer.rules]]\noutcome = "retry"'),
                "not a path",
            ),
            (minimal(rest=field("text")), "is the name of a variable"),
            (minimal(rest='[callbacks.signature]\nheader = "X"\nfield = "key"'), "name of a secret field"),
            (minimal(request='[request]\nurl = "{url}"\nxml = "<sms><a></sms>"'), "not well-formed"),
            (minimal(request='[request]\nurl = "{url}"\nxml = "<sms>a & b</sms>"'), "not well-formed"),
            (minimal(answer='[answer]\nbody = "json"\n[[answer.rules]]\noutcome = "retry"'), "what is accepted"),
            (minimal(head='sender = "unsupported"', request=FORM), "contains {sender}"),
            (
                minimal(rest='[receipts]\nbody = "json"\nstatus = "s"\ndelivered = ["1"]\nundelivered = ["2"]'),
                "Write id",
            ),
            (minimal().replace("https://api.example.com", "file:///etc/passwd"), "An address begins with"),
            (minimal(rest='[callbacks]\naddresses = ["300.1.1.1"]'), "callbacks.addresses.0"),
            (minimal(request='[request]\nurl = "{url}"\njson = {a = inf}'), "no dates, infinity"),
            (minimal(request='[request]\nurl = "{url}"\njson = {a = 2026-01-01}'), "no dates, infinity"),
            (minimal(request='[request]\nurl = "{url}/a b"'), "Percent-encode"),
            (minimal(rest='[callbacks]\nanswer = {type = "text/html"}'), "should match"),
            (minimal(rest="[check]\n" + ".".join("a" * 30) + " = 1"), "levels"),
            ("#" * (MAX_LENGTH + 1), "characters"),
            ("a = " + "[" * 5000, "not TOML"),
        ],
    )
    def test_problems_are_told_with_their_place(self, text: str, problem: str) -> None:
        with pytest.raises(InvalidDefinition, match="(?s).*" + problem.replace("{", "\\{").replace("}", "\\}")):
            load(text)

    def test_the_example_in_the_docs_is_valid(self) -> None:
        assert load(example_text()).label == "Example SMS"

    @given(st.text(max_size=200))
    def test_any_short_text_is_refused_with_a_reason(self, text: str) -> None:
        with pytest.raises(InvalidDefinition, match=r"\S"):
            load(text)


class TestRequests:
    def test_json(self) -> None:
        request = provider(minimal(request=JSON)).build(1, 79991234567, 'a"b\\', "Acme")
        assert request.url == "https://api.example.com/send"
        assert json.loads(request.body) == {"to": 79991234567, "parts": [{"text": 'a"b\\', "from": "Acme"}]}

    def test_an_entry_without_a_value_is_left_out(self) -> None:
        assert json.loads(provider(minimal(request=JSON)).build(1, 79991234567, "a").body)["parts"] == [{"text": "a"}]
        assert provider(minimal(request=FORM)).build(1, 79991234567, "a").body == b"to=79991234567&text=a"

    def test_variables(self) -> None:
        names = ["phone", "phone_plus", "phone_national", "text_hex", "id", "parts", "encoding", "callback"]
        entries = "\n".join(f'{name} = "{{{name}}}"' for name in names)
        request = f'[request]\nurl = "{{url}}"\nencodings = {{gsm7 = "0", ucs2 = "8"}}\n[request.json]\n{entries}'
        long = "ж" * 71
        assert json.loads(provider(minimal(request=request)).build(5, 393912345678, long).body) == {
            "phone": "393912345678",
            "phone_plus": "+393912345678",
            "phone_national": "3912345678",
            "text_hex": "0436" * 71,
            "id": "5",
            "parts": "2",
            "encoding": "8",
            "callback": f"{CALLBACK}&message=5",
        }
        assert json.loads(provider(minimal(request=request)).build(5, 393912345678, "a").body)["encoding"] == "0"

    def test_braces_and_percent_signs(self) -> None:
        request = '[request]\nurl = "{url}/100%25"\n[request.json]\na = "{{{text}}} %s %%"'
        built = provider(minimal(request=request)).build(1, 7, "x")
        assert (built.url, json.loads(built.body)) == ("https://api.example.com/100%25", {"a": "{x} %s %%"})

    def test_authentication_and_headers(self) -> None:
        request = '[request]\nurl = "{url}"\nauth = {type = "basic", username = "{u}", password = "{p}"}'
        request += '\n[request.headers]\nX-Key = "k {p}"'
        driver = provider(
            minimal(request=request, rest=field("u") + "\n" + field("p", secret=True)), u="a", p="ж\r\nX: 1"
        )
        headers = dict(header.split(": ", 1) for header in driver.headers)
        assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")).decode() == "a:жX: 1"
        assert headers["X-Key"] == "k жX: 1"
        bearer = minimal(request='[request]\nurl = "{url}"\nauth = {type = "bearer", token = "{p}"}', rest=field("p"))
        assert provider(bearer, p="t").headers == ["Authorization: Bearer t"]

    def test_a_field_in_the_path_stays_there(self) -> None:
        text = minimal(request='[request]\nurl = "{url}/{a}/send"', rest=field("a"))
        assert (
            provider(text, a="../x?y#z@evil").build(1, 7, "").url
            == "https://api.example.com/..%2Fx%3Fy%23z%40evil/send"
        )

    def test_other_character_sets(self) -> None:
        request = FORM.replace("[request.form]", 'charset = "windows-1251"\n[request.form]')
        assert provider(minimal(request=request)).build(1, 7, "Ж☃").body == b"to=7&text=%C6%3F"
        xml = provider(minimal(request=XML + '\ncharset = "windows-1251"')).build(1, 7, "Ж☃").body
        assert "Ж&#9731;".encode("windows-1251") in xml

    @pytest.mark.parametrize("request_table", [FORM, GET, XML, JSON], ids=["form", "get", "xml", "json"])
    @given(text=st.text(), sender=st.text(max_size=11))
    def test_no_text_and_no_name_changes_the_request(self, request_table: str, text: str, sender: str) -> None:
        request = provider(minimal(request=request_table)).build(1, 79991234567, text, sender)
        assert decoded(request_table, request.url, request.body) == expected(request_table, text, sender)


def expected(table: str, text: str, sender: str) -> dict[str, Any]:
    """What an independent parser has to find."""
    if table == XML:
        valid = "".join(
            c if c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff" else "\ufffd"
            for c in text
        )
        name = "".join(
            c if c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff" else "\ufffd"
            for c in sender
        )
        return {"to": "79991234567", "text": valid, "lang": valid, "from": name}
    if table == JSON:
        return {"to": 79991234567, "text": text, **({"from": sender} if sender else {})}
    values = {"to": "79991234567", "text": text, "from": sender}
    readable = {name: value.encode("utf-8", "replace").decode() for name, value in values.items()}
    return {name: value for name, value in readable.items() if value or (name != "from")}


def decoded(table: str, url: str, body: bytes) -> dict[str, Any]:
    assert url.startswith("https://api.example.com/send")
    if table == XML:
        root = minidom.parseString(body).documentElement
        assert root is not None
        element = root.getElementsByTagName("text")[0]
        content = "".join(str(node.nodeValue) for node in element.childNodes)
        values = {"to": root.getAttribute("to"), "from": root.getAttribute("from")}
        return {**values, "text": content, "lang": element.getAttribute("lang")}
    if table == JSON:
        data = json.loads(body)
        return {"to": data["to"], **data["parts"][0]}
    encoded = urlsplit(url).query if table == GET else body.decode("ascii")
    return {name: value for name, [value] in parse_qs(encoded, keep_blank_values=True, strict_parsing=True).items()}


class TestPaths:
    DATA = {"a": [{"id": 1}, {"id": "2"}, {"x": None}], "b": {"c": True, "@d": 0.5, "#text": "t"}}

    @pytest.mark.parametrize(
        ("path", "texts"),
        [
            ("a[0].id", ["1"]),
            ("a[*].id", ["1", "2"]),
            ("a[-2].id", ["2"]),
            ("a[9].id", []),
            ("a.id", []),
            ("b.c", ["true"]),
            ("b.@d", ["0.5"]),
            ("b", ["t"]),
            ("b[0].c", ["true"]),
            ("b[*].c", ["true"]),
            ("a[2].x", []),
            ("", []),
        ],
    )
    def test_values_are_found(self, path: str, texts: list[str]) -> None:
        assert texts_at(Path(path), self.DATA) == texts

    @pytest.mark.parametrize("path", ["a b", "a[", "a[x]", "a..b", "[1", "a]", "a[99999]"])
    def test_other_texts_are_no_paths(self, path: str) -> None:
        with pytest.raises(ValueError, match="not a path"):
            Path(path)

    def test_bodies(self) -> None:
        assert read("xml", b'<r a="1"><x>1</x><x>2</x></r>', {}) == {"r": {"@a": "1", "x": ["1", "2"]}}
        assert read("form", b"a=1&b[]=2&c=3&c=4", {}) == {"a": "1", "b": ["2"], "c": ["3", "4"]}
        assert read("query", b"", {"a": "1"}) == {"a": "1"}
        assert read("text", b"OK - 1 SMS, ID - 7\nx=1 ", {})["words"][6:] == ["7", "x", "1"]

    @pytest.mark.parametrize(
        "bomb",
        [
            b'<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><r>&b;</r>',
            b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r>&x;</r>',
            b'<?xml version="1.0" encoding="foo"?><r>1</r>',
            b"<r>",
            b"\xff",
            b"",
        ],
    )
    def test_entities_and_broken_xml_are_not_read(self, bomb: bytes) -> None:
        with pytest.raises(Unreadable):
            read("xml", bomb, {})


class TestAnswers:
    RULES = """
[answer]
body = "json"
ids = "messages[*].id"
price = "price"
error = "code"
[[answer.rules]]
status = ["2xx"]
path = "messages[*].id"
exists = true
outcome = "accepted"
[[answer.rules]]
path = "code"
equals = ["7", "8"]
outcome = "hold"
seconds = 30
[[answer.rules]]
path = "code"
equals = ["9"]
outcome = "no_money"
[[answer.rules]]
path = "text"
starts = ["Bad"]
outcome = "refused"
[[answer.rules]]
path = "text"
contains = ["key"]
outcome = "unauthorised"
[[answer.rules]]
path = "code"
equals = ["11"]
outcome = "uncertain"
[[answer.rules]]
status = ["500"]
outcome = "retry"
"""

    @pytest.mark.parametrize(
        ("answer", "outcome"),
        [
            (Answer(200, b'{"messages": [{"id": 1}, {"id": "b"}, {"id": 1}]}'), Outcome(Verdict.SENT, ids=("1", "b"))),
            (Answer(200, b'{"code": 7}'), Outcome(Verdict.HELD, "error_7", hold=30.0)),
            (Answer(402, b'{"code": "9"}'), Outcome(Verdict.UNAUTHORISED, "no_money")),
            (Answer(200, b'{"text": "Bad thing", "code": "E-4"}'), Outcome(Verdict.REFUSED, "error_e_4")),
            (Answer(200, b'{"text": "Bad thing"}'), Outcome(Verdict.REFUSED, "http_200")),
            (Answer(200, b'{"text": "Your key"}'), Outcome(Verdict.UNAUTHORISED, "credentials")),
            (Answer(400, b'{"code": 11}'), Outcome(Verdict.RETRY, "error_11", uncertain=True)),
            (Answer(500, b"<html>"), Outcome(Verdict.RETRY, "not_accepted")),
            (Answer(502, b"<html>"), Outcome(Verdict.RETRY, "http_502", uncertain=True)),
            (Answer(200, b"<html>"), Outcome(Verdict.RETRY, "unreadable", uncertain=True)),
            (Answer(200, b"{}"), Outcome(Verdict.RETRY, "not_accepted", uncertain=True)),
            (Answer(401, b""), Outcome(Verdict.UNAUTHORISED, "http_401")),
            (Answer(429, b"", 9.0), Outcome(Verdict.RETRY, "http_429", hold=9.0)),
            (
                Answer(200, b'{"messages": [{"id": 1}]}', failure=TransportFailure.TIMEOUT),
                Outcome(Verdict.RETRY, "timeout", uncertain=True),
            ),
        ],
    )
    def test_the_first_rule_that_fits_counts(self, answer: Answer, outcome: Outcome) -> None:
        assert provider(minimal(answer=self.RULES)).parse(answer) == outcome

    def test_a_missing_value_is_no_proof_in_an_answer_that_cannot_be_read(self) -> None:
        rules = '[answer]\nbody = "json"\n[[answer.rules]]\npath = "error"\nexists = false\noutcome = "accepted"'
        driver = provider(minimal(answer=rules))
        assert driver.parse(Answer(200, b"{}")).verdict == Verdict.SENT
        assert driver.parse(Answer(200, b"<html>")) == Outcome(Verdict.RETRY, "unreadable", uncertain=True)

    def test_a_price_is_read(self) -> None:
        outcome = provider(minimal(answer=self.RULES)).parse(Answer(200, b'{"messages": [{"id": 1}], "price": "2.5"}'))
        assert str(outcome.price) == "2.5"

    def test_plain_text(self) -> None:
        rule = '[[answer.rules]]\npath = "text"\nstarts = ["OK"]\noutcome = "accepted"'
        rules = f'[answer]\nbody = "text"\nids = "words[1]"\n{rule}'
        assert provider(minimal(answer=rules)).parse(Answer(200, b"OK: 77\n")) == Outcome(Verdict.SENT, ids=("77",))


class TestCallbacks:
    REST = """
[receipts]
body = "json"
items = "results[*]"
id = "id"
message = "ref"
status = "status"
error = "code"
price = "price"
delivered = ["DELIVRD"]
undelivered = ["UNDELIV", "EXPIRED"]
[receipts.reasons]
EXPIRED = "expired"
27 = "absent"
[incoming]
body = "json"
items = "incoming[*]"
from = "from"
to = "to"
text = "text"
id = "id"
time = "at"
[callbacks]
answer = {status = 202, type = "text/xml", body = "<ok/>"}
[callbacks.signature]
header = "X-Signature"
field = "key"
prefix = "sha256="
[fields.key]
label = "Key"
secret = true
required = false
"""

    def driver(self, **fields: str) -> Http:
        return provider(minimal(rest=self.REST), **fields)

    def reported(self, body: Any, query: dict[str, str] | None = None) -> Reported:
        return self.driver().parse_callback(Callback(query or {}, json.dumps(body).encode()))

    def test_receipts(self) -> None:
        rows = [
            {"id": "a", "status": "DELIVRD", "price": 1.5},
            {"id": "b", "ref": "12", "status": "UNDELIV", "code": 27},
            {"id": "c", "status": "EXPIRED"},
            {"id": "d", "status": "UNDELIV", "code": 1},
            {"id": "e", "status": "BUFFERED"},
        ]
        a, *others = self.reported({"results": rows}).receipts
        assert (a.message_id, a.delivered, str(a.price), a.provider_id) == (None, True, "1.5", "a")
        assert others == [
            Receipt(12, delivered=False, reason="absent", provider_id="b"),
            Receipt(None, delivered=False, reason="expired", provider_id="c"),
            Receipt(None, delivered=False, reason="error_1", provider_id="d"),
        ]

    def test_our_id_in_the_address_counts(self) -> None:
        found = self.reported({"results": [{"status": "DELIVRD"}]}, {"message": "9", "key": "k"})
        assert found.receipts == [Receipt(9, delivered=True)]

    def test_incoming_messages(self) -> None:
        rows = [
            {"from": "+7 999", "to": "100", "text": " STOP", "id": "i", "at": "2026-11-30T10:00:00+03:00"},
            {"from": "7", "text": "", "at": 1_800_000_000_000},
        ]
        assert self.reported({"incoming": rows}).incoming == [
            Incoming("+7 999", "STOP", "i", "100", datetime.fromisoformat("2026-11-30T10:00:00+03:00")),
            Incoming("7", "", sent_at=datetime(2027, 1, 15, 8, tzinfo=UTC)),
        ]

    @pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"<x/>", b'{"results": [{"x": 1}]}', b"\xff"])
    def test_what_is_neither_is_refused(self, body: bytes) -> None:
        with pytest.raises(InvalidReceipt):
            self.driver().parse_callback(Callback({}, body))

    def test_a_signature_is_required_once_its_key_is_known(self) -> None:
        body = b'{"results": [{"id": "a", "status": "DELIVRD"}]}'
        right = "sha256=" + hmac.new(b"k", body, hashlib.sha256).hexdigest()
        driver = self.driver(key="k")
        assert driver.parse_callback(Callback({}, body, {"x-signature": right})).receipts
        for wrong in ("", "sha256=", right[:-1] + "x", right.removeprefix("sha256=")[:-2]):
            with pytest.raises(InvalidReceipt, match="signature"):
                driver.parse_callback(Callback({}, body, {"x-signature": wrong}))

    def test_other_addresses_are_refused(self) -> None:
        rest = self.REST.replace("[callbacks]\n", '[callbacks]\naddresses = ["203.0.113.0/24", "2001:db8::1"]\n')
        driver, body = provider(minimal(rest=rest)), b'{"results": [{"id": "a", "status": "DELIVRD"}]}'
        for address in ("203.0.113.7", "2001:db8::1"):
            assert driver.parse_callback(Callback({}, body, address=address)).receipts
        for address in ("203.0.114.7", "2001:db8::2", "", "x"):
            with pytest.raises(InvalidReceipt, match="address"):
                driver.parse_callback(Callback({}, body, address=address))

    def test_the_answer_that_the_provider_expects(self) -> None:
        assert self.driver().acknowledgement == Acknowledgement(202, "text/xml", "<ok/>")

    @given(
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["results", "incoming", "id", "status", "from", "text", "at"]), inner, max_size=5
                )
            ),
        )
    )
    def test_any_json_is_read_or_refused(self, data: Any) -> None:
        try:
            found = self.reported(data)
        except InvalidReceipt:
            return
        assert found.receipts or found.incoming or data
