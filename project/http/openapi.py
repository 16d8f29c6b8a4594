"""The parts of the API's description that all operations share."""

import json
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final

from ninja.openapi.schema import OpenAPISchema

ABOUT: Final = """SMS campaigns: contacts, campaigns, and the status of every message.

**Begin** with `POST /tokens`, and send the token as `Authorization: Bearer <token>`.

**Errors** are `{"detail": …}`: a sentence, or for 422 a list that names each invalid field by `loc`.

**Lists** take `limit` and `cursor`; the answer's `next` is the cursor of the next page, null on the last.

**Times** are ISO 8601 with an offset. **Unknown fields** and parameters are refused.

**Repeating.** Calls that create take an `Idempotency-Key`: after a broken connection send the same again.

**Editing.** Editable objects have a `version`, also sent as `ETag`. Send it back as `version` (409) or `If-Match`
(412), and a change is refused if the object has changed meanwhile.

**Scopes.** A token needs `read` for GET, `write` for changes, `send` for everything that sends messages.

**Limits.** Too many requests in a minute get 429 with `Retry-After` in seconds.

Each answer has an `X-Request-ID`, yours or a new one; it is in the server's log as well.
"""
TAGS: Final = [
    {"name": "tokens", "description": "Keys to this API, each with scopes and an expiry."},
    {"name": "users", "description": "People who sign in: yourself, or everyone for administrators."},
    {"name": "contacts", "description": "People by phone. Everyone sees all contacts; owners change theirs."},
    {"name": "imports", "description": "Files of contacts: upload, check, start, stop, undo."},
    {"name": "tags", "description": "Words that group contacts, with their colours."},
    {"name": "audiences", "description": "Saved filters of contacts, to choose for campaigns."},
    {"name": "suppressions", "description": "The opt-out list: phones that never receive campaign messages."},
    {"name": "campaigns", "description": "What to say, to whom, when and how often; and progress."},
    {"name": "messages", "description": "Single messages: send one, see its status; messages from phones."},
    {"name": "stats", "description": "Figures over all of your campaigns."},
    {"name": "reports", "description": "What became of messages in a period, by day, country, tag and reason; costs."},
    {"name": "gateways", "description": "For administrators: connections, health and prices."},
    {"name": "audit", "description": "For administrators: who changed what."},
    {"name": "callbacks", "description": "For gateways: delivery receipts and incoming messages."},
    {"name": "webhooks", "description": "Events of messages and campaigns, posted to your own server."},
]
# Descriptions of fields by name, unless a field has its own.
TERMS: Final = {
    "action": "What to do with them",
    "answer": "The beginning of the gateway's answer",
    "area": "ISO 3166 code, or first digits of phones; empty: all other countries",
    "at": "Start time",
    "attempts": "Completed requests to the gateway",
    "attributes": "Your own fields: names to texts, numbers or booleans",
    "audience": "The filter that selects recipients; an empty one selects everyone",
    "budget": "Sending pauses before the campaign would cost more than this; null: no limit",
    "by_status": "Number in each state; all states are listed",
    "campaign": "Id of the campaign; null for a message to a single phone",
    "campaigns": "Number of campaigns in each state",
    "changed_at": "When it reached its state",
    "characters": "Characters of the longest sample",
    "contacts": "Up to 10 000 contacts",
    "contact": "Id of the contact; null if there is none",
    "cost": "Price of all messages that were or may have been accepted, exact",
    "created": "Number of new contacts",
    "created_at": "When it was created",
    "cursor": "`next` of the previous page",
    "daily_report": "Whether the user gets the daily report by e-mail",
    "date_joined": "When the user signed up",
    "days": "Number of days",
    "detail": "What is wrong: a sentence, or for 422 a list with the location of each invalid field",
    "due_at": "When it, or its next attempt, is due",
    "duration_ms": "Duration of the request in milliseconds",
    "empty_reports": "Whether reports without activity are sent, too",
    "error": "Why it was not written",
    "email": "The login; case is ignored",
    "encoding": "Encoding of the rendered text; a part has 160 characters in GSM-7, 70 in UCS-2",
    "end": "Local time at which sending ends",
    "ends_at": "When sending ends",
    "events": "Types of events that are sent",
    "expires_at": "When it expires; requests then get 401",
    "failures": "Failed attempts, oldest first",
    "finished_at": "When it finished; null: not yet",
    "first_name": "Letters of any script, spaces, hyphens, apostrophes",
    "http_status": "The gateway's HTTP status; null: no answer",
    "id": "Id, never reused",
    "index": "Position in the request's list, from 0",
    "is_active": "False: deactivated; its history remains",
    "items": "The page's rows, newest first",
    "language": "`en` or `ru`",
    "last_name": "Letters of any script, spaces, hyphens, apostrophes",
    "local_time": "Whether `starts_at`'s wall-clock time holds in each contact's zone",
    "match": "How the attribute is compared; `exists` needs no value",
    "monthly_budget": "Campaigns of the user pause before they cost more in a month; null: no limit",
    "name": "Name",
    "next": "`cursor` of the next page; null on the last",
    "countries": "ISO 3166 codes; an empty list does not narrow",
    "country": "ISO 3166 code",
    "operator_code": "The three digits after the 7",
    "operator_codes": "Three digits each; an empty list does not narrow",
    "opted_out": "Whether the contact must not receive messages",
    "owner": "Id of the user who created it",
    "parts": "Number of SMS parts",
    "password": "At least 8 characters, and not a common one",
    "phone": "Digits with the country code, like `79161234567`; other usual notations are accepted",
    "planned_for": "Planned start",
    "rate_limit": "Maximum messages per second; null: the gateway's limit",
    "price": "Price of one part in the installation's currency, exact",
    "reason": "Reason for its state, like `http_503` or `timeout`; empty if there is no problem",
    "recipients": "Number of recipients",
    "rejected": "Contacts that were not written, with reasons",
    "repeat": "How often it repeats until its end",
    "run": "Id of the run",
    "runs": "Its runs, latest first, at most 100",
    "samples": "The texts for the first recipients",
    "start": "Local time at which sending begins",
    "started_at": "When it started; null: not yet",
    "starts_at": "When sending starts",
    "status": "State",
    "tags": "Words in lower case that group contacts",
    "tags_match": "Whether `any` of the tags suffices or `all` are needed",
    "text": "The text as sent; of a campaign, with placeholders",
    "timezone": "IANA name",
    "timezones": "IANA names; an empty list does not narrow",
    "token": "For the header `Authorization: Bearer …`; shown only once",
    "total": "Number of all messages, the sum of `by_status`",
    "total_parts": "Over all recipients; an estimate where placeholders make texts differ",
    "updated_at": "When it was last changed",
    "url": "URL to which events are posted",
    "weekly_report": "Whether the user gets the weekly report by e-mail, on Mondays",
    "written": "When contacts were last contacted; null: any time",
    "valid_from": "The first day on which it is valid, in the installation's time zone",
    "value": "Value to compare with",
    "when": "`never`, `within` or `not_within` a number of days",
    "window": "Local hours in which messages are sent, `HH:MM`; null: all",
}
# Bodies that work as they are with the demo data.
_TEXT: Final = {"text": "{first_name|friend}, our shop is open.", "audience": {"tags": ["loyal"]}}
EXAMPLES: Final[dict[str, Any]] = {
    "UserIn": {
        "email": "olga@example.org",
        "password": "correct horse battery",
        "first_name": "Ольга",
        "last_name": "Смирнова",
    },
    "UserPatch": {"timezone": "Asia/Omsk", "language": "ru"},
    "TokenIn": {"email": "anna@example.org", "password": "vestnik-demo", "name": "Nightly import"},
    "ContactIn": {
        "phone": "+7 (999) 123-45-67",
        "first_name": "Ольга",
        "tags": ["loyal"],
        "attributes": {"city": "Омск"},
    },
    "ContactPatch": {"tags": ["loyal", "vip"]},
    "ContactsIn": {"contacts": [{"phone": "+7 (999) 123-45-67", "tags": ["loyal"]}]},
    "BulkActionIn": {"action": "tag", "tag": "loyal", "filter": {"country": "RU", "is_active": True}},
    "FormatIn": {"has_header": True},
    "StartIn": {"policy": "update", "tags": ["loyal"]},
    "TagIn": {"name": "regulars", "tone": "good"},
    "TagPatch": {"tone": "good"},
    "MergeIn": {"into": "loyal"},
    "AudienceIn": {"tags": ["loyal"], "countries": ["RU"]},
    "SavedAudienceIn": {"name": "Loyal in Russia", "audience": {"tags": ["loyal"], "countries": ["RU"]}},
    "SavedAudiencePatch": {"audience": {"countries": ["RU", "KZ"]}},
    "SuppressionIn": {"phone": "+7 (999) 123-45-67", "reason": "Asked by e-mail"},
    "SuppressionsIn": {"phones": ["+7 (999) 123-45-67", "8 999 123-45-68"], "reason": "Asked by e-mail"},
    "CampaignIn": {"name": "Opening", **_TEXT, "ends_at": "2090-01-01T00:00:00+03:00", "status": "draft"},
    "CampaignPatch": {"name": "Grand opening"},
    "PreviewIn": _TEXT,
    "TestIn": {"phone": "+7 (999) 123-45-67"},
    "UnknownIn": {"action": "resend"},
    "MessageIn": {"phone": "+7 (999) 123-45-67", "text": "Your code is 4711."},
    "MarkIn": {"status": "sent"},
    "GatewayIn": {"name": "second", "kind": "probe", "url": "https://sms.example.org/v1", "secret": "4711"},
    "GatewayPatch": {"carries": ["RU", "KZ"]},
    "PricesIn": [{"area": "KZ", "price": "2.50", "valid_from": "2026-01-01"}],
    "WebhookIn": {"url": "https://example.org/vestnik", "events": ["message.failed", "campaign.finished"]},
}
_CONFLICT: Final = (
    "The present state, or another object, forbids it; or the `Idempotency-Key` belongs to another request"
)
_REFERENCE: Final = re.compile(r"#/components/schemas/([^\"]+)")
_METHODS: Final = ("get", "post", "put", "patch", "delete")
_NEEDS_TOKEN: Final = (401, 403, 429)
_HAS_BODY: Final = (400, 413, 422)


def describe(schema: OpenAPISchema) -> OpenAPISchema:
    """Add examples, descriptions, and the errors that every operation may return."""
    for path in schema["paths"].values():
        for operation in (path[method] for method in _METHODS if method in path):
            _add_errors(operation)
    for name, example in EXAMPLES.items():
        schema["components"]["schemas"][name]["examples"] = [example]
    for definition in schema["components"]["schemas"].values():
        for name, field in definition.get("properties", {}).items():
            if name in TERMS:
                field.setdefault("description", TERMS[name])
    _describe_requests(schema)
    _prune(schema)
    for integer in _integers(schema):
        integer.setdefault("format", "int64")
    if not schema.get("servers"):
        schema.pop("servers", None)
    # names that generated clients can use
    schema.update(json.loads(re.sub(r"\b(?:Sorted)?Page_(\w+)_(?=\")", r"\1Page", json.dumps(schema))))
    return schema


def _describe_requests(schema: OpenAPISchema) -> None:
    """Move defaults of requests into descriptions, because type generators treat fields with defaults as required."""
    bodies = [
        operation["requestBody"]
        for path in schema["paths"].values()
        for operation in path.values()
        if "requestBody" in operation
    ]
    for name in _reachable(schema, bodies):
        for field in schema["components"]["schemas"][name].get("properties", {}).values():
            default = field.pop("default", None)
            if default not in (None, ""):
                field["description"] = f"{field.get('description', '')} (default: `{json.dumps(default)}`)".strip()


def _prune(schema: OpenAPISchema) -> None:
    """Remove unused schemas, such as those of query parameters."""
    used = _reachable(schema, schema["paths"])
    used_schemas = {name: definition for name, definition in schema["components"]["schemas"].items() if name in used}
    schema["components"]["schemas"] = used_schemas


def _reachable(schema: OpenAPISchema, start: Any) -> set[str]:
    """Return the names of all schemas that a part of the description uses, directly or indirectly."""
    found: set[str] = set()
    waiting = _references(start)
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= _references(schema["components"]["schemas"][name]) - found
    return found


def _references(part: Any) -> set[str]:
    return set(_REFERENCE.findall(json.dumps(part, default=str)))


def _integers(part: Any) -> Iterator[dict[str, Any]]:
    """Yield every description of an integer."""
    if isinstance(part, dict):
        if part.get("type") == "integer":
            yield part
        for each in part.values():
            yield from _integers(each)
    elif isinstance(part, list):
        for each in part:
            yield from _integers(each)


def _add_errors(operation: dict[str, Any]) -> None:
    expected = {429}
    if operation.get("security"):
        expected.update(_NEEDS_TOKEN)
    else:
        operation["security"] = []
    if "requestBody" in operation:
        expected.update(_HAS_BODY)
    if operation["parameters"] or operation.get("security"):
        expected.add(422)  # for unknown parameters, at least
    if any(parameter["name"] == "Idempotency-Key" for parameter in operation["parameters"]):
        expected.add(409)
    responses = operation["responses"]
    for status in expected - responses.keys():
        responses[status] = {
            "description": HTTPStatus(status).phrase,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        }
    for status, response in responses.items():
        if status == 409:
            response["description"] = _CONFLICT
        if status == 429:
            response["headers"] = {
                "Retry-After": {"schema": {"type": "integer", "minimum": 1}, "description": "Seconds to wait"}
            }
    operation["responses"] = dict(sorted(responses.items()))
