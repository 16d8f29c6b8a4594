"""JSON schemas of campaigns."""

import re
from datetime import UTC, datetime, time
from typing import Annotated, Any, Final, Literal

from django.conf import settings
from ninja import Field, Schema
from pydantic import AfterValidator, BeforeValidator, Strict, WithJsonSchema

from accounts.optimistic_locking import Version, version_of
from campaigns.gateways.senders import MAX_LENGTH
from campaigns.models import MAX_TEXT_LENGTH, Campaign
from campaigns.states import CampaignStatus, MessageStatus, Repeat
from campaigns.text import normalise
from directory.audiences.schemas import AudienceIn, AudienceOut, AudiencePatch
from directory.schemas import Phone
from project.core.money import plain
from project.http.body import Amount, AmountOut, Body, Flag, Line, Moment, Text

MessageText = Annotated[Text, AfterValidator(normalise), Field(min_length=1, max_length=MAX_TEXT_LENGTH)]


_CLOCK: Final = "^([01][0-9]|2[0-3]):[0-5][0-9](:00)?$"


def _clock(value: Any) -> Any:
    """Accept hours and minutes only."""
    if not (isinstance(value, str) and re.match(_CLOCK, value) and value.isascii() and value.isprintable()):
        raise ValueError("Use hours and minutes only, for example 09:00.")
    return value


GatewayName = Annotated[Line, Field(min_length=1, max_length=40)]
SenderName = Annotated[Line, Field(min_length=3, max_length=MAX_LENGTH)]
Clock = Annotated[time, BeforeValidator(_clock), WithJsonSchema({"type": "string", "pattern": _CLOCK})]


class WindowIn(Body):
    """Local hours; a window may span midnight."""

    start: Clock = Field(examples=["09:00"])
    end: Clock = Field(examples=["21:00"])


class CampaignFields(Body):
    """The fields of a campaign. Defaults are factories, so that a PATCH shows none."""

    text: MessageText = Field(
        description="Placeholders: {first_name}, {last_name}, {phone}, any attribute; "
        "with a fallback: {first_name|friend}",
        examples=["Hello, {first_name|friend}! 20 % off until Thursday."],
    )
    audience: AudienceIn = Field(default_factory=AudienceIn)
    starts_at: Moment | None = Field(default_factory=lambda: None, description="null: now; without offset: your zone")
    local_time: Flag = Field(
        default_factory=bool, description="`starts_at`'s wall-clock time holds in each contact's zone"
    )
    window: WindowIn | None = Field(default_factory=lambda: None, description="Local hours in which messages are sent")
    repeat: Repeat = Field(default_factory=lambda: Repeat.ONCE)
    rate_limit: Annotated[float, Strict(), Field(ge=0.01, le=100_000)] | None = Field(
        default_factory=lambda: None, description="Maximum messages per second"
    )
    gateway: GatewayName | None = Field(
        default_factory=lambda: None, description="Name of the gateway; null: the settings' gateway"
    )
    sender: SenderName | None = Field(
        default_factory=lambda: None,
        description="A sender name that the gateway allows; null, and in countries where it is not allowed: the "
        "gateway's default",
        examples=["Vestnik"],
    )
    budget: Amount | None = Field(
        default_factory=lambda: None, description="Sending pauses before the campaign would cost more than this"
    )


class CampaignBody(CampaignFields):
    """All fields of a campaign."""

    name: Annotated[Line, Field(min_length=1, max_length=200)]
    ends_at: Moment = Field(description="Nothing is sent after this")


class CampaignIn(CampaignBody):
    """A new campaign. It starts automatically, unless it is a draft."""

    status: Literal["draft", "scheduled"] = "scheduled"


_NOT_SET: Final = datetime(2000, 1, 1, tzinfo=UTC)  # stands for a field that is not given; never used


class CampaignPatch(CampaignBody):
    """Changes; an omitted field keeps its value.

    `scheduled` launches a draft, `draft` withdraws a scheduled campaign.
    """

    name: Annotated[Line, Field(min_length=1, max_length=200)] = Field(default_factory=str)
    text: MessageText = Field(default_factory=str)
    audience: AudiencePatch = Field(default_factory=AudiencePatch)
    starts_at: Moment = Field(default_factory=lambda: _NOT_SET)
    ends_at: Moment = Field(default_factory=lambda: _NOT_SET)
    status: Literal["draft", "scheduled"] = Field(default_factory=lambda: "draft")
    version: Version = Field(default_factory=str)


class PreviewIn(CampaignFields):
    """The fields of a campaign, of which text, audience, gateway and start are used."""

    name: Annotated[Line, Field(max_length=200)] = ""
    ends_at: Moment | None = None
    status: Literal["draft", "scheduled"] = "scheduled"


class WindowOut(Schema):
    """Local hours, `HH:MM`."""

    start: str = Field(examples=["09:00"])
    end: str = Field(examples=["21:00"])


class CampaignSummary(Schema):
    """The fields of a campaign that every user may see."""

    id: int
    name: str
    status: CampaignStatus
    owner: int = Field(alias="owner_id", description="User id")
    starts_at: datetime
    ends_at: datetime
    repeat: Repeat
    created_at: datetime


class CampaignOut(CampaignSummary):
    """A campaign."""

    text: str
    audience: AudienceOut
    local_time: bool
    window: WindowOut | None
    rate_limit: float | None
    gateway: str | None = Field(alias="gateway_id", description="null: the settings' gateway")
    sender: str | None = Field(description="null: the gateway's default", examples=["Vestnik"])
    budget: str | None = Field(examples=["250.00"])
    budget_reached_at: datetime | None = Field(description="Set while the campaign is paused because of a budget")
    version: str = Field(description="Changes with what can be edited; see `If-Match`")

    @staticmethod
    def resolve_version(campaign: Campaign) -> str:
        """Compute the version; it is not a column."""
        return version_of(campaign)

    @staticmethod
    def resolve_budget(campaign: Campaign) -> str | None:
        """Return the exact amount."""
        return None if campaign.budget is None else plain(campaign.budget)

    updated_at: datetime
    finished_at: datetime | None

    @staticmethod
    def resolve_window(campaign: Campaign) -> dict[str, str] | None:
        """Combine the two columns of the window."""
        if campaign.window is None:
            return None
        start, end = campaign.window
        return {"start": f"{start:%H:%M}", "end": f"{end:%H:%M}"}


class TestIn(Body):
    """The phone that gets the test."""

    phone: Phone


class UnknownIn(Body):
    """How to resolve a campaign's unknown messages."""

    action: Literal["resend", "retry", "sent", "failed"]


class SampleOut(Schema):
    """The text rendered for one contact."""

    phone: str
    name: str
    text: str
    parts: int


class CostOut(Schema):
    """What messages to a country through a gateway cost."""

    country: str
    gateway: str = Field(description="Name of the gateway")
    recipients: int
    parts: int
    cost: AmountOut = Field(description="Price of all parts", examples=["12.50"])


class PreviewOut(Schema):
    """The result of a preview. With placeholders, `total_parts` and costs are estimates from the first recipients."""

    recipients: int
    encoding: Literal["GSM-7", "UCS-2"]
    characters: int
    parts: int
    total_parts: int
    samples: list[SampleOut]
    cost: AmountOut | None = Field(description="Price of all messages; null: no price is known", examples=["12.50"])
    currency: str = Field(default_factory=lambda: settings.CURRENCY, description="ISO 4217", examples=["RUB"])
    costs: list[CostOut] = Field(description="`cost` by country and gateway, the most expensive first")
    unpriced: int = Field(description="Recipients without a known price, if prices are used at all")
    unreachable: int = Field(description="Recipients whose numbers no gateway takes")


class RunOut(Schema):
    """One execution of a campaign."""

    id: int
    planned_for: datetime = Field(alias="occurrence")
    started_at: datetime
    finished_at: datetime | None
    total: int
    by_status: dict[str, int]
    attempts: int
    parts: int
    cost: AmountOut

    @staticmethod
    def resolve_by_status(run: Any) -> dict[str, int]:
        """From the counters."""
        return {status: getattr(run, status) for status in MessageStatus.values}


class CampaignStats(Schema):
    """A campaign's figures; `by_status` always adds up to `total`."""

    total: int
    by_status: dict[str, int]
    attempts: int = Field(description="Completed requests to the gateway")
    parts: int = Field(description="Parts of all accepted messages")
    cost: AmountOut = Field(description="Price of all messages that were or may have been accepted", examples=["12.50"])
    currency: str = Field(default_factory=lambda: settings.CURRENCY, description="ISO 4217", examples=["RUB"])
    rate: float = Field(description="Messages per second over the last minute or two")
    started_at: datetime | None
    finished_at: datetime | None
    eta: datetime | None = Field(description="When the last message will be sent at the current rate")
    runs: list[RunOut]
