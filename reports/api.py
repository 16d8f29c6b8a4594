"""`/stats` of the JSON API."""

from typing import Any

from django.conf import settings
from ninja import Field, Query, Router, Schema

from campaigns.states import CampaignStatus
from project.http.body import AmountOut, Error
from project.http.client import UserRequest
from project.http.paging import ListQuery, keyset
from reports.dashboard import figures

stats = Router(tags=["stats"])


class Counts(Schema):
    """Numbers by status; every status is included."""

    by_status: dict[str, int]


class CampaignCounts(Schema):
    """One campaign's messages by status, which add up to `total`, and their cost."""

    id: int
    name: str
    status: CampaignStatus
    owner: int = Field(description="User id")
    total: int
    by_status: dict[str, int]
    cost: AmountOut = Field(examples=["12.50"])


class Stats(Schema):
    """Figures of the user's own campaigns, or of all campaigns for an administrator."""

    campaigns: Counts
    messages: Counts = Field(description="Includes messages of deleted campaigns")
    cost: AmountOut = Field(examples=["12.50"])
    currency: str = Field(default_factory=lambda: settings.CURRENCY, description="ISO 4217", examples=["RUB"])
    items: list[CampaignCounts] = Field(description="One page of the campaigns, newest first")
    next: int | None


@stats.get("", response={200: Stats, frozenset({401, 422}): Error}, summary="Figures")
def read_stats(request: UserRequest, query: Query[ListQuery]) -> dict[str, Any]:
    """Campaigns and messages by status, then each campaign. The cost does not grow with the number of messages."""
    page = keyset(figures.reported(request.user).visible(), query.cursor, query.limit)
    return {
        "campaigns": {"by_status": figures.campaigns_by_status(request.user)},
        "messages": {"by_status": figures.messages_by_status(request.user)},
        "cost": figures.cost(request.user),
        "items": [_campaign_counts(row) for row in figures.figures_of(page.items)],
        "next": page.next,
    }


def _campaign_counts(row: figures.CampaignFigures) -> dict[str, Any]:
    campaign = row.campaign
    return {
        "id": campaign.pk,
        "name": campaign.name,
        "status": campaign.status,
        "owner": campaign.owner_id,
        "total": row.total,
        "by_status": row.by_status,
        "cost": row.cost,
    }
