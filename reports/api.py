"""`/stats` of the JSON API."""

from typing import Any

from ninja import Field, Query, Router, Schema

from campaigns.states import CampaignStatus
from project.http import Error, ListQuery, Signed, keyset
from reports import figures

stats = Router(tags=["stats"])


class Counts(Schema):
    """Numbers by state; every state is there."""

    by_status: dict[str, int]


class CampaignCounts(Schema):
    """One campaign's messages by state; they add up to `total`."""

    id: int
    name: str
    status: CampaignStatus
    owner: int = Field(description="User id")
    total: int
    by_status: dict[str, int]


class Stats(Schema):
    """Figures of one's own campaigns; an administrator's are those of all."""

    campaigns: Counts
    messages: Counts = Field(description="Those of deleted campaigns are counted too")
    items: list[CampaignCounts] = Field(description="One page of the campaigns, newest first")
    next: int | None


@stats.get("", response={200: Stats, frozenset({401, 422}): Error}, summary="Figures")
def read_stats(request: Signed, query: Query[ListQuery]) -> dict[str, Any]:
    """Campaigns and messages by state, then each campaign. From counters: the cost does not grow with the messages."""
    page = keyset(figures.reported(request.user).visible(), query.cursor, query.limit)
    return {
        "campaigns": {"by_status": figures.campaigns_by_status(request.user)},
        "messages": {"by_status": figures.messages_by_status(request.user)},
        "items": [_shown(row) for row in figures.figures_of(page.items)],
        "next": page.next,
    }


def _shown(row: figures.CampaignFigures) -> dict[str, Any]:
    campaign = row.campaign
    return {
        "id": campaign.pk,
        "name": campaign.name,
        "status": campaign.status,
        "owner": campaign.owner_id,
        "total": row.total,
        "by_status": row.by_status,
    }
