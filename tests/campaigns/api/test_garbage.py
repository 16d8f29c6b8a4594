"""The API answers any input with 2xx, or 4xx and a `detail`, and accepted objects can be read."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import User
from campaigns.models import Campaign
from tests import factories
from tests.conftest import ApiClient

JSON = "application/json"
HUGE = "9" * 5000
SHORT = {"name": "Sale", "text": "Sale", "ends_at": "2099-01-01T00:00:00Z"}
FIELDS = [
    "name",
    "text",
    "audience",
    "starts_at",
    "ends_at",
    "local_time",
    "window",
    "repeat",
    "rate_limit",
    "sender",
    "status",
    "no_such_field",
    "\ud800",
]
STRANGE: list[Any] = [
    None,
    "",
    " ",
    "\0",
    "\ud800",
    "a\udfff",
    "x" * 100_000,
    HUGE,
    0,
    -1,
    2**31,
    2**63,
    2**64,
    10**400,
    1.5,
    -0.0,
    1e308,
    True,
    [],
    {},
    [[]],
    [None],
    {"a": {}},
    "0001-01-01T00:00:00Z",
    "1999-12-31T23:59:59Z",
    "2100-12-31T23:59:59.999999-23:59",
    "2101-01-01T00:00:00Z",
    "9999-12-31T23:59:59-12:00",
    "2099-02-30",
    "2026-03-29T02:30",
    "25:00",
    "24:00",
    {"start": "09:00", "end": "21:00"},
    {"start": "00:00", "end": "00:00"},
    {"start": None, "end": None},
    {"start": -1, "end": 1e300},
    {"start": "09:00Z", "end": "21:00+03:00"},
    {"tags": ["\0"]},
    {"tags": ["\ud800"]},
    {"tags": ["x" * 51]},
    {"tags": ["a"] * 1000},
    {"tags": "vip"},
    {"operator_codes": [999]},
    {"operator_codes": ["٩٩٩"]},
    {"operator_codes": ["999\n"]},
    {"countries": ["ru"]},
    {"countries": ["Россия"]},
    {"timezones": ["../../etc/passwd"]},
    {"timezones": ["Mars/Olympus", ""]},
    {"tags_match": None},
]
BODIES: list[str | bytes] = [
    "",
    "{",
    "null",
    "[]",
    '"x"',
    "1",
    "[" * 100_000,
    '{"a":' * 100_000,
    '{"rate_limit": ' + HUGE + "}",
    '{"name": NaN}',
    '{"name": "Sale", "text": "Sale", "ends_at": "2099-01-01T00:00:00Z", "rate_limit": NaN}',
    '{"name": "Sale", "text": "Sale", "ends_at": "2099-01-01T00:00:00Z", "rate_limit": 1e999}',
    '{"name": "Sale", "text": "\\ud800", "ends_at": "2099-01-01T00:00:00Z"}',
    '{"name": "\\u0000", "text": "Sale", "ends_at": "2099-01-01T00:00:00Z"}',
    '{"name": "Sale", "text": "Sale", "ends_at": Infinity}',
    b"\xff\xfe",
    b"\x00",
    '{"name": "Распродажа"}'.encode("cp1251"),
]


@pytest.fixture
def client(alice: User) -> ApiClient:
    """Alice's client, which returns a 500 instead of raising."""
    client = ApiClient(alice)
    client.raise_request_exception = False
    return client


def assert_explained(answer: Any, allowed: set[int], sent: object) -> None:
    assert answer.status_code in allowed, (answer.status_code, sent)
    if answer.status_code >= 400:
        assert json.loads(answer.content)["detail"], sent


@pytest.mark.parametrize("field", FIELDS, ids=ascii)
def test_strange_field_values_are_handled(client: ApiClient, alice: User, field: str) -> None:
    campaign = factories.campaign(alice, text="Another")
    for value in [*STRANGE, *([value] for value in STRANGE)]:
        answer = client.post("/campaigns", {**SHORT, field: value}, content_type=JSON)
        assert_explained(answer, {201, 409, 422}, value)
        if answer.status_code == 201:
            assert client.get(f"/campaigns/{answer.json()['id']}").status_code == 200
            Campaign.objects.exclude(pk=campaign.pk).delete()
        assert_explained(
            client.patch(f"/campaigns/{campaign.pk}", {field: value}, content_type=JSON), {200, 409, 422}, value
        )
        assert_explained(
            client.post("/campaigns/preview", {"text": "a", field: value}, content_type=JSON), {200, 422}, value
        )
    assert client.get("/campaigns").status_code == 200


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_strange_bodies_are_handled(client: ApiClient, alice: User, body: str | bytes) -> None:
    campaign = factories.campaign(alice)
    for call, path in (
        (client.post, "/campaigns"),
        (client.post, "/campaigns/preview"),
        (client.patch, f"/campaigns/{campaign.pk}"),
    ):
        assert_explained(call(path, body, content_type=JSON), {400, 422}, body[:50])


@pytest.mark.parametrize("body", ["{", "[" * 100_000, b"\xff"], ids=range(3))
def test_what_is_not_json_is_malformed(client: ApiClient, body: str | bytes) -> None:
    assert client.post("/campaigns", body, content_type=JSON).status_code == 400


@pytest.mark.parametrize("number", ["0", "-1", "x", "1.5", str(2**63), HUGE, "%00", "%F0%9F%98%80", "999999"])
def test_strange_ids_are_handled(client: ApiClient, number: str) -> None:
    for path in (
        f"/campaigns/{number}",
        f"/campaigns/{number}/stats",
        f"/campaigns/{number}/messages",
        f"/messages/{number}",
    ):
        assert_explained(client.get(path), {404, 422}, path)
    for action in ("pause", "resume", "cancel", "duplicate"):
        assert_explained(client.post(f"/campaigns/{number}/{action}"), {404, 422}, action)
    assert_explained(client.delete(f"/campaigns/{number}"), {404, 422}, number)


@pytest.mark.parametrize("name", ["limit", "cursor", "status", "no_such_filter"])
def test_strange_filters_are_handled(client: ApiClient, alice: User, name: str) -> None:
    campaign = factories.campaign(alice)
    for value in ["", " ", "\0", "-1", "0", "501", str(2**63), HUGE, "٣", "%", "'", "☃", "null"]:
        for path in ("/campaigns", f"/campaigns/{campaign.pk}/messages"):
            assert_explained(client.get(path, {name: value}), {200, 422}, value)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(STRANGE),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(FIELDS), anything, max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
def test_arbitrary_bodies_are_handled(client: ApiClient, body: dict[str, Any]) -> None:
    answer = client.post("/campaigns", json.dumps({**SHORT, **body}), content_type=JSON)
    assert_explained(answer, {201, 409, 422}, body)
    Campaign.objects.all().delete()
