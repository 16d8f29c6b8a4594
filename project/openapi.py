"""The description of the API: what all operations share is said here once."""

import json
import re
from http import HTTPStatus
from typing import Any, Final

from ninja.openapi.schema import OpenAPISchema

ABOUT: Final = """SMS campaigns: contacts, campaigns, and every single message's fate.

**Begin** with `POST /tokens`, and send what it gives as `Authorization: Bearer <token>`.

**Errors** are `{"detail": …}`: a sentence, or for 422 a list that names each invalid field by `loc`.

**Lists** take `limit` and `cursor`; the answer's `next` is the cursor of the next page, null on the last.

**Times** are ISO 8601 with an offset. **Unknown fields** and parameters are refused.

**Repeating.** Calls that create take an `Idempotency-Key`: after a broken connection send the same again.

**Scopes.** A token needs `read` for GET, `write` for changes, `send` for whatever makes messages leave.

**Limits.** Too many requests in a minute get 429 with `Retry-After` in seconds.

Each answer has an `X-Request-ID`, yours or a new one; it is in the server's log as well.
"""
TAGS: Final = [
    {"name": "tokens", "description": "Keys to this API, each with its scopes and its end."},
    {"name": "users", "description": "People who sign in: yourself, and for administrators everyone."},
    {"name": "contacts", "description": "People by phone. Everyone sees all; who added one, changes it."},
    {"name": "campaigns", "description": "What to say, to whom, when and how often; and how far it is."},
    {"name": "messages", "description": "Single messages: send one, see what became of one."},
    {"name": "stats", "description": "Figures over all of your campaigns."},
    {"name": "callbacks", "description": "For gateways: receipts of what became of messages."},
    {"name": "webhooks", "description": "Have your own server told what becomes of messages and campaigns."},
]
# What a field means wherever it stands, unless it says so itself.
TERMS: Final = {
    "action": "What to make of them",
    "answer": "How the gateway's answer began",
    "at": "When it began",
    "attempts": "Requests to the gateway that came to an end",
    "attributes": "Your own facts: names to texts, numbers or booleans",
    "audience": "Whom it is for; an empty one is everyone",
    "by_status": "How many there are in each state; every state is there",
    "campaign": "Id of the campaign; null for a message to a single phone",
    "campaigns": "How many campaigns are in each state",
    "changed_at": "When it came to its state",
    "characters": "Of the longest sample",
    "contacts": "At most 10 000",
    "contact": "Id of the contact; null if there is none",
    "created": "How many are new",
    "created_at": "When it was made",
    "cursor": "`next` of the page before",
    "daily_report": "Whether they get it by e-mail",
    "date_joined": "When they registered",
    "days": "How many",
    "detail": "What is wrong: a sentence, or for 422 a list with the place of each invalid field",
    "due_at": "When it leaves, or its next attempt does",
    "duration_ms": "How long the request took, in milliseconds",
    "empty_reports": "Whether reports come also when there is nothing to tell",
    "error": "Why it was not written",
    "email": "The login; compared without case",
    "encoding": "Of the text with its placeholders filled; UCS-2 takes 70 characters a part, GSM-7 160",
    "end": "Local time from which nothing leaves any more",
    "ends_at": "Nothing leaves for the gateway from then on",
    "events": "What it is told of",
    "expires_at": "From then on it gets 401",
    "failures": "The attempts that did not end well, oldest first",
    "finished_at": "When everything had come to its end; null: not yet",
    "first_name": "Letters of any script, spaces, hyphens, apostrophes",
    "http_status": "What the gateway answered; null: nothing",
    "id": "Its number, never used again",
    "index": "Its place in the list that was sent, from 0",
    "is_active": "False: deactivated, with all its history",
    "items": "The page's rows, newest first",
    "language": "`en` or `ru`",
    "last_name": "Letters of any script, spaces, hyphens, apostrophes",
    "local_time": "Whether `starts_at`'s wall-clock time holds in each contact's zone",
    "match": "How the attribute is compared; `exists` needs no value",
    "name": "What it is called",
    "next": "`cursor` of the next page; null on the last",
    "operator_code": "The three digits after the 7",
    "operator_codes": "Three digits each; an empty list does not narrow",
    "opted_out": "Whether they asked not to be written to",
    "owner": "Id of the user who made it",
    "parts": "Parts of the text as the gateway counts them",
    "password": "At least 8 characters, and not a common one",
    "phone": "`7XXXXXXXXXX`; taken as people write it",
    "planned_for": "When it was to begin",
    "rate_limit": "Messages per second at most; null: as the gateway bears",
    "reason": "Why it stands there, like `http_503` or `timeout`; empty when all is well",
    "recipients": "How many would get it",
    "rejected": "Those that were not written, and why",
    "repeat": "How often it runs until its end",
    "run": "Id of the execution of the campaign",
    "runs": "Its executions, the latest first, at most 100",
    "samples": "What the first recipients would read",
    "start": "Local time from which messages leave",
    "started_at": "When it began; null: not yet",
    "starts_at": "When it begins",
    "status": "Its state",
    "tags": "Words in lower case that group contacts",
    "tags_match": "Whether `any` of the tags suffices or `all` are needed",
    "text": "As it is sent; in a campaign with its placeholders",
    "timezone": "IANA name",
    "timezones": "IANA names; an empty list does not narrow",
    "token": "For the header `Authorization: Bearer …`; shown this once",
    "total": "All messages; what `by_status` adds up to",
    "total_parts": "Over all recipients; an estimate where placeholders make texts differ",
    "updated_at": "When it was last changed",
    "url": "Where events are posted to",
    "weekly_report": "Whether they get it by e-mail, on Mondays",
    "written": "When they were last written to; null: whenever",
    "value": "What it is compared with",
    "when": "Never, or within or not within so many days",
    "window": "Local hours in which messages leave, `HH:MM`; null: all",
}
# Bodies that work as they stand where the demo data is.
_TEXT: Final = {"text": "{first_name|friend}, our shop is open.", "audience": {"tags": ["loyal"]}}
EXAMPLES: Final[dict[str, dict[str, Any]]] = {
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
    "CampaignIn": {"name": "Opening", **_TEXT, "ends_at": "2090-01-01T00:00:00+03:00", "status": "draft"},
    "CampaignPatch": {"name": "Grand opening"},
    "PreviewIn": _TEXT,
    "TestIn": {"phone": "+7 (999) 123-45-67"},
    "UnknownIn": {"action": "resend"},
    "MessageIn": {"phone": "+7 (999) 123-45-67", "text": "Your code is 4711."},
    "MarkIn": {"status": "sent"},
    "WebhookIn": {"url": "https://example.org/vestnik", "events": ["message.failed", "campaign.finished"]},
}
_METHODS: Final = ("get", "post", "put", "patch", "delete")
_NEEDS_TOKEN: Final = (401, 403, 429)
_HAS_BODY: Final = (400, 413, 422)


def describe(schema: OpenAPISchema) -> OpenAPISchema:
    """Add what any operation may answer, whichever it is."""
    for path in schema["paths"].values():
        for operation in (path[method] for method in _METHODS if method in path):
            _add_errors(operation)
    for name, example in EXAMPLES.items():
        schema["components"]["schemas"][name]["examples"] = [example]
    for definition in schema["components"]["schemas"].values():
        for name, field in definition.get("properties", {}).items():
            if name in TERMS:
                field.setdefault("description", TERMS[name])
    # Names that generated clients can bear.
    schema.update(json.loads(re.sub(r"\bPage_(\w+)_(?=\")", r"\1Page", json.dumps(schema))))
    return schema


def _add_errors(operation: dict[str, Any]) -> None:
    expected = {429}
    if operation.get("security"):
        expected.update(_NEEDS_TOKEN)
    if "requestBody" in operation:
        expected.update(_HAS_BODY)
    if operation["parameters"] or operation.get("security"):
        expected.add(422)  # an unknown parameter, at least
    if any(parameter["name"] == "Idempotency-Key" for parameter in operation["parameters"]):
        expected.add(409)
    responses = operation["responses"]
    for status in expected - responses.keys():
        responses[status] = {
            "description": HTTPStatus(status).phrase,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        }
    for status, response in responses.items():
        if status == 429:
            response["headers"] = {
                "Retry-After": {"schema": {"type": "integer", "minimum": 1}, "description": "Seconds to wait"}
            }
    operation["responses"] = dict(sorted(responses.items()))
