"""The description of the API: what all operations share is said here once."""

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
    {"name": "webhooks", "description": "Have your own server told what becomes of messages and campaigns."},
]
_METHODS: Final = ("get", "post", "put", "patch", "delete")
_NEEDS_TOKEN: Final = (401, 403, 429)
_HAS_BODY: Final = (400, 413, 422)


def describe(schema: OpenAPISchema) -> OpenAPISchema:
    """Add what any operation may answer, whichever it is."""
    for path in schema["paths"].values():
        for operation in (path[method] for method in _METHODS if method in path):
            _add_errors(operation)
    return schema


def _add_errors(operation: dict[str, Any]) -> None:
    expected = {429}
    if operation.get("security"):
        expected.update(_NEEDS_TOKEN)
    if "requestBody" in operation:
        expected.update(_HAS_BODY)
    if operation["parameters"] or operation.get("security"):
        expected.add(422)  # an unknown parameter, at least
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
