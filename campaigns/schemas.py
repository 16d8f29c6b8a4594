"""The JSON shapes of campaigns and messages."""

import re
from datetime import datetime, time
from typing import Annotated, Any, Final, Literal

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from ninja import Field, Schema
from pydantic import (
    BeforeValidator,
    SerializerFunctionWrapHandler,
    Strict,
    WithJsonSchema,
    model_serializer,
    model_validator,
)

from campaigns.models import MAX_TEXT_LENGTH, Campaign, Message
from campaigns.states import CampaignStatus, MessageStatus, Repeat
from directory.api import Phone
from directory.audience import MAX_CONDITIONS, MAX_DAYS, Audience
from directory.models import SavedAudience
from project.http import Body, Flag, Line, ListQuery, Moment, Text

Words = Annotated[Text, Field(min_length=1, max_length=MAX_TEXT_LENGTH)]


_CLOCK: Final = "^([01][0-9]|2[0-3]):[0-5][0-9](:00)?$"


def _clock(value: Any) -> Any:
    """Hours and minutes on the contact's own clock."""
    if not (isinstance(value, str) and re.match(_CLOCK, value) and value.isascii() and value.isprintable()):
        raise ValueError("Hours and minutes only, like 09:00.")
    return value


GatewayName = Annotated[Line, Field(min_length=1, max_length=40)]
Clock = Annotated[time, BeforeValidator(_clock), WithJsonSchema({"type": "string", "pattern": _CLOCK})]


class ConditionIn(Body):
    """What an attribute must be like, without regard to case; `exists` needs no value."""

    name: Annotated[Line, Field(min_length=1, max_length=50)]
    match: Literal["equals", "contains", "exists"] = "equals"
    value: Annotated[Text, Field(max_length=100)] = ""


class WrittenIn(Body):
    """When a contact was last written to: never, or (not) within the last `days`."""

    when: Literal["never", "within", "not_within"]
    days: Annotated[int, Strict(), Field(ge=0, le=MAX_DAYS)] = 0

    @model_validator(mode="after")
    def _has_days(self) -> "WrittenIn":
        if self.when != "never" and not self.days:
            raise ValueError("Say how many days.")
        return self


class AudienceIn(Body):
    """Which contacts; an empty list does not narrow, so an empty object is everyone."""

    operator_codes: list[Annotated[str, Field(pattern=r"^[0-9]{3}$")]] = Field(
        default_factory=list, max_length=1000, examples=[["999", "903"]]
    )
    tags: list[Annotated[Line, Field(min_length=1, max_length=50)]] = Field(
        default_factory=list, max_length=50, description="Their case does not matter", examples=[["vip"]]
    )
    tags_match: Literal["any", "all"] = "any"
    timezones: list[Annotated[Line, Field(max_length=64)]] = Field(
        default_factory=list, max_length=600, examples=[["Europe/Moscow"]]
    )
    tags_none: list[Annotated[Line, Field(min_length=1, max_length=50)]] = Field(
        default_factory=list, max_length=50, description="Contacts that have one of them are left out"
    )
    attributes: list[ConditionIn] = Field(default_factory=list, max_length=MAX_CONDITIONS)
    written: WrittenIn | None = None
    saved: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = Field(
        default=None, description="Id of a saved audience: its filter is copied, in place of all else here"
    )

    def value(self) -> Audience:
        """As the services take it; ValidationError if there is no such saved audience."""
        if self.saved is None:
            return Audience.from_json(self.model_dump())
        saved = SavedAudience.objects.filter(pk=self.saved).first()
        if saved is None:
            raise ValidationError({"audience": _("There is no such saved audience.")})
        return saved.picks


class WindowIn(Body):
    """Local hours; a window may span midnight."""

    start: Clock = Field(examples=["09:00"])
    end: Clock = Field(examples=["21:00"])


class CampaignFields(Body):
    """What a campaign says, to whom, when. Defaults are made by factories: they don't show in a PATCH."""

    text: Words = Field(
        description="May hold {first_name}, {last_name}, {phone}, any attribute; with a fallback: {first_name|friend}",
        examples=["Hello, {first_name|friend}! 20 % off until Thursday."],
    )
    audience: AudienceIn = Field(default_factory=AudienceIn)
    starts_at: Moment | None = Field(default_factory=lambda: None, description="null: now; without offset: your zone")
    local_time: Flag = Field(
        default_factory=bool, description="`starts_at`'s wall-clock time holds in each contact's zone"
    )
    window: WindowIn | None = Field(default_factory=lambda: None, description="Local hours in which messages leave")
    repeat: Repeat = Field(default_factory=lambda: Repeat.ONCE)
    rate_limit: Annotated[float, Strict(), Field(ge=0.01, le=100_000)] | None = Field(
        default_factory=lambda: None, description="Messages per second at most"
    )
    gateway: GatewayName | None = Field(
        default_factory=lambda: None, description="Name of the one that messages leave by; null: that of the settings"
    )


class CampaignBody(CampaignFields):
    """All of a campaign."""

    name: Annotated[Line, Field(min_length=1, max_length=200)]
    ends_at: Moment = Field(description="Nothing leaves for the gateway from then on")


class CampaignIn(CampaignBody):
    """A new campaign. It starts by itself, unless it is a draft."""

    status: Literal["draft", "scheduled"] = "scheduled"


class CampaignPatch(CampaignBody):
    """Changes; what is left out stays. `scheduled` launches a draft, `draft` withdraws a scheduled campaign."""

    name: Annotated[Line, Field(min_length=1, max_length=200)] = Field(default_factory=str)
    text: Words = Field(default_factory=str)
    starts_at: Moment = Field(default_factory=datetime.now)
    ends_at: Moment = Field(default_factory=datetime.now)
    status: Literal["draft", "scheduled"] = Field(default_factory=lambda: "draft")


class PreviewIn(CampaignFields):
    """A campaign's body, of which text and audience matter."""

    name: Annotated[Line, Field(max_length=200)] = ""
    ends_at: Moment | None = None
    status: Literal["draft", "scheduled"] = "scheduled"


class AudienceOut(Schema):
    """See `AudienceIn`. What is not among the first four is there only if it narrows."""

    operator_codes: list[str]
    tags: list[str]
    tags_match: str
    timezones: list[str]
    tags_none: list[str] | None = None
    attributes: list[ConditionIn] | None = None
    written: WrittenIn | None = None

    @model_serializer(mode="wrap")
    def _what_narrows(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in dump(self).items() if value is not None}


class WindowOut(Schema):
    """Local hours, `HH:MM`."""

    start: str = Field(examples=["09:00"])
    end: str = Field(examples=["21:00"])


class CampaignSummary(Schema):
    """What everyone may know of a campaign."""

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
    gateway: str | None = Field(alias="gateway_id", description="null: that of the settings")
    updated_at: datetime
    finished_at: datetime | None

    @staticmethod
    def resolve_window(campaign: Campaign) -> dict[str, str] | None:
        """The model keeps its two ends apart."""
        if campaign.window is None:
            return None
        start, end = campaign.window
        return {"start": f"{start:%H:%M}", "end": f"{end:%H:%M}"}


class TestIn(Body):
    """Where to."""

    phone: Phone


class MessageIn(Body):
    """One message to a single phone."""

    phone: Phone
    text: Words = Field(
        description="May hold placeholders, as a campaign's", examples=["Your code is 4711.", "{first_name}, welcome!"]
    )
    contact: Annotated[int, Strict(), Field(ge=1, le=2**63 - 1)] | None = Field(
        None, description="Id of the contact whose name and attributes fill the placeholders"
    )
    gateway: GatewayName | None = Field(
        None, description="Name of the one that it leaves by; null: that of the settings"
    )


class UnknownIn(Body):
    """What to make of a campaign's unknown messages."""

    action: Literal["resend", "retry", "sent", "failed"]


class MarkIn(Body):
    """What to take an unknown message for."""

    status: Literal["sent", "failed"]


class SampleOut(Schema):
    """The text as one contact would read it."""

    phone: str
    name: str
    text: str
    parts: int


class PreviewOut(Schema):
    """What a campaign would do. With placeholders, `total_parts` is an estimate from the first recipients."""

    recipients: int
    encoding: Literal["GSM-7", "UCS-2"]
    characters: int
    parts: int
    total_parts: int
    samples: list[SampleOut]


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

    @staticmethod
    def resolve_by_status(run: Any) -> dict[str, int]:
        """From the counters."""
        return {status: getattr(run, status) for status in MessageStatus.values}


class CampaignStats(Schema):
    """A campaign's figures; `by_status` always adds up to `total`."""

    total: int
    by_status: dict[str, int]
    attempts: int = Field(description="Requests to the gateway that came to an end")
    parts: int = Field(description="Parts of all accepted messages")
    rate: float = Field(description="Messages per second over the last minute or two")
    started_at: datetime | None
    finished_at: datetime | None
    eta: datetime | None = Field(description="When the last message leaves at the present rate")
    runs: list[RunOut]


class AttemptOut(Schema):
    """A try that did not end well."""

    at: datetime
    reason: str = Field(examples=["http_503", "timeout"])
    http_status: int | None
    answer: str
    duration_ms: int
    uncertain: bool = Field(description="The gateway may have accepted the message all the same")


class MessageState(Schema):
    """A message, and where it stands at this moment."""

    id: int
    status: MessageStatus


class MessageSummary(MessageState):
    """One contact in one run; `id` is the gateway's message id. One to a single phone has no campaign, nor contact."""

    campaign: int | None
    run: int | None
    contact: int | None = Field(alias="contact_id")
    resend_of: int | None = Field(alias="resend_of_id", description="The unknown message that it is sent instead of")
    phone: str
    reason: str
    attempts: int
    parts: int
    due_at: datetime
    changed_at: datetime

    @staticmethod
    def resolve_campaign(message: Message) -> int | None:
        """Through the run; the campaign of direct messages is nobody's business."""
        return None if message.run.campaign.direct else message.run.campaign_id

    @staticmethod
    def resolve_run(message: Message) -> int | None:
        """Of the campaign."""
        return None if message.run.campaign.direct else message.run_id

    @staticmethod
    def resolve_phone(message: Message) -> str:
        """As frozen, or else as the contact has it now."""
        return str(message.recipient)


# What a summary needs of the database.
_PLAIN: Final = ("id", "status", "contact_id", "resend_of_id", "reason", "attempts", "parts", "due_at", "changed_at")
MESSAGE_COLUMNS: Final = (*_PLAIN, "run_id", "phone", "contact__phone")


def summary_of(message: Message, campaign: Campaign) -> MessageSummary:
    """A summary for a list: what the database gave is not checked again, which would take longer than all the rest."""
    values = {name: getattr(message, name) for name in _PLAIN}
    values["status"] = MessageStatus(message.status)
    return MessageSummary.model_construct(
        campaign=campaign.pk, run=message.run_id, phone=str(message.recipient), **values
    )


class MessageOut(MessageSummary):
    """A message with its text, as sent, and its failed attempts."""

    text: str
    gateway: str | None = Field(alias="gateway_id", description="The one that has it, or had it last; null: none yet")
    failures: list[AttemptOut]


class MessageQuery(ListQuery):
    """Filters of the list."""

    status: MessageStatus | None = None
