"""`/campaigns/{id}/messages/export` of the JSON API."""

from collections.abc import Iterator
from typing import Final

from django.http import StreamingHttpResponse
from ninja import Field, Query, Router, Schema

from campaigns.api.message_schemas import MESSAGE_COLUMNS, summary_of
from campaigns.api.shared import ERRORS, Id, own_campaign
from campaigns.models import Campaign, Message
from directory.exports.api import FILES, FileFormat, json_line
from directory.exports.contacts import JSON_LINES, attachment
from project.http.body import Error
from project.http.client import UserRequest
from project.http.paging import keyset
from reports.exports import messages_file

router = Router(tags=["campaigns"])

_BATCH: Final = 1000


class MessageExportQuery(Schema):
    """The format."""

    format: FileFormat = Field("csv", description="`jsonl` has the items of the list, one on each line")


@router.get(
    "/{campaign_id}/messages/export",
    response={ERRORS: Error},
    summary="Export a campaign's messages",
    openapi_extra=FILES,
)
def export_messages(request: UserRequest, campaign_id: Id, query: Query[MessageExportQuery]) -> StreamingHttpResponse:
    """All messages of a campaign as a file, which is streamed."""
    campaign = own_campaign(request, campaign_id)
    if query.format == "jsonl":
        return attachment(_json_lines(campaign), f"campaign-{campaign.pk}-messages.jsonl", JSON_LINES)
    return messages_file(campaign, query.format)


def _json_lines(campaign: Campaign) -> Iterator[str]:
    """Read page by page, so that no cursor stays open."""
    found = Message.objects.filter(run__campaign=campaign).select_related("contact").only(*MESSAGE_COLUMNS)
    cursor = None
    while True:
        page = keyset(found, cursor, _BATCH)
        yield "".join(json_line(summary_of(message, campaign).model_dump()) for message in page.items)
        cursor = page.next
        if cursor is None:
            return
