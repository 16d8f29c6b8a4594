"""`/contacts/export` of the JSON API."""

import json
from collections.abc import Iterator
from typing import Any, Final, Literal

from django.http import StreamingHttpResponse
from ninja import Field, Query, Router
from ninja.responses import NinjaJSONEncoder

from directory.api import contact_out, tags_of
from directory.exports.contacts import JSON_LINES, XLSX, attachment, contacts_csv, contacts_xlsx
from directory.models import ContactQuerySet
from directory.schemas import ContactFilters
from project.http.body import Error
from project.http.client import UserRequest

router = Router(tags=["contacts"])

FileFormat = Literal["csv", "xlsx", "jsonl"]
FILES: Final[dict[str, Any]] = {
    "responses": {
        200: {
            "description": "The file",
            "content": {
                kind: {"schema": {"type": "string", "format": "binary"}} for kind in ("text/csv", XLSX, JSON_LINES)
            },
        }
    }
}
"""The description of an answer that is a file."""
_BATCH: Final = 1000


class ContactExportQuery(ContactFilters):
    """Filters as for the list, and the format."""

    format: FileFormat = Field("csv", description="`jsonl` has the items of the list, one on each line")


@router.get("", response={frozenset({401, 422}): Error}, summary="Export contacts", openapi_extra=FILES)
def export_contacts(request: UserRequest, query: Query[ContactExportQuery]) -> StreamingHttpResponse:
    """All contacts that match the filters as a file, which is streamed. CSV and XLSX can be imported again."""
    found = query.matching()
    if query.format == "jsonl":
        return attachment(_json_lines(found), "contacts.jsonl", JSON_LINES)
    return contacts_xlsx(found) if query.format == "xlsx" else contacts_csv(found)


def json_line(values: dict[str, Any]) -> str:
    """Return values as in the answers of the API, on one line."""
    return json.dumps(values, cls=NinjaJSONEncoder) + "\n"


def _json_lines(contacts: ContactQuerySet) -> Iterator[str]:
    """Read page by page, so that no cursor stays open."""
    last = 0
    while rows := list(contacts.filter(pk__gt=last).order_by("pk")[:_BATCH]):
        tags = tags_of(rows)
        yield "".join(json_line(contact_out(row, tags[row.pk])) for row in rows)
        last = rows[-1].pk
