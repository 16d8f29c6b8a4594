"""`/campaigns` and `/messages` of the JSON API."""

from datetime import UTC, datetime, time
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Prefetch
from django.shortcuts import get_object_or_404
from django.utils.timezone import is_naive, make_aware
from django.utils.translation import gettext as _
from ninja import Field, Path, Query, Router, Schema, Status
from pydantic import AfterValidator

from campaigns import services
from campaigns.models import MAX_TEXT_LENGTH, Attempt, Campaign, Message
from campaigns.preview import campaign_preview
from campaigns.states import CampaignStatus, MessageStatus, Repeat
from campaigns.statistics import campaign_statistics
from directory.models import Audience
from project.http import Body, Error, Line, ListQuery, Page, Signed, Text, keyset, page_of

campaigns = Router(tags=["campaigns"])
messages = Router(tags=["messages"])

Id = Annotated[int, Path(ge=1, le=2**63 - 1)]
Words = Annotated[Text, Field(min_length=1, max_length=MAX_TEXT_LENGTH)]


def _moment(value: datetime) -> datetime:
    """Years that no calendar arithmetic survives are refused."""
    if not 2000 <= value.year <= 2100:
        raise ValueError("The year must lie between 2000 and 2100.")
    return value


def _clock(value: time) -> time:
    """Hours and minutes on the contact's own clock."""
    if value.tzinfo or value.second or value.microsecond:
        raise ValueError("Hours and minutes only, like 09:00.")
    return value


Moment = Annotated[datetime, AfterValidator(_moment)]
Clock = Annotated[time, AfterValidator(_clock)]


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

    def value(self) -> Audience:
        """As the services take it."""
        return Audience.from_json(self.model_dump())


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
    local_time: bool = Field(
        default_factory=bool, description="`starts_at`'s wall-clock time holds in each contact's zone"
    )
    window: WindowIn | None = Field(default_factory=lambda: None, description="Local hours in which messages leave")
    repeat: Repeat = Field(default_factory=lambda: Repeat.ONCE)
    rate_limit: Annotated[float, Field(ge=0.01, le=100_000)] | None = Field(
        default_factory=lambda: None, description="Messages per second at most"
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
    """See `AudienceIn`."""

    operator_codes: list[str]
    tags: list[str]
    tags_match: str
    timezones: list[str]


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
    updated_at: datetime
    finished_at: datetime | None

    @staticmethod
    def resolve_window(campaign: Campaign) -> dict[str, str] | None:
        """The model keeps its two ends apart."""
        if campaign.window is None:
            return None
        start, end = campaign.window
        return {"start": f"{start:%H:%M}", "end": f"{end:%H:%M}"}


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


class StatsOut(Schema):
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


class MessageSummary(Schema):
    """One contact in one run; `id` is the gateway's message id."""

    id: int
    campaign: int
    run: int = Field(alias="run_id")
    contact: int = Field(alias="contact_id")
    phone: str
    status: MessageStatus
    reason: str
    attempts: int
    parts: int
    due_at: datetime
    changed_at: datetime

    @staticmethod
    def resolve_campaign(message: Message) -> int:
        """Through the run."""
        return message.run.campaign_id

    @staticmethod
    def resolve_phone(message: Message) -> str:
        """As frozen, or else as the contact has it now."""
        return str(message.phone or message.contact.phone)


class MessageOut(MessageSummary):
    """A message with its text, as sent, and its failed attempts."""

    text: str
    failures: list[AttemptOut]


class MessageQuery(ListQuery):
    """Filters of the list."""

    status: MessageStatus | None = None


ERRORS: Final = frozenset({401, 403, 404, 422})


@campaigns.get("", response={200: Page[CampaignSummary], frozenset({401, 422}): Error})
def campaign_list(request: Signed, query: Query[ListQuery]) -> dict[str, Any]:
    """Everyone's campaigns as summaries, newest first."""
    return page_of(keyset(Campaign.objects.visible(), query.cursor, query.limit), lambda row: row)


@campaigns.post("", response={201: CampaignOut, frozenset({400, 401, 409, 422}): Error})
def campaign_create(request: Signed, body: CampaignIn) -> Status[Campaign]:
    """Create a campaign; it starts by itself at `starts_at`, or at once if that has passed."""
    fields = {"audience": Audience(), **_fields(request, body), "draft": body.status == "draft"}
    fields.pop("status", None)
    return Status(201, services.campaign_create(owner=request.user, **fields))


@campaigns.post("/preview", response={200: PreviewOut, frozenset({400, 401, 422}): Error})
def preview(request: Signed, body: PreviewIn) -> Any:
    """How many would get it, in how many parts, and what some of them would read. Nothing is stored."""
    found = campaign_preview(text=body.text, audience=body.audience.value())
    samples = [{**vars(sample), "phone": str(sample.phone)} for sample in found.samples]
    return {**vars(found), "samples": samples}


@campaigns.get("/{campaign_id}", response={200: CampaignOut, ERRORS: Error})
def campaign_read(request: Signed, campaign_id: Id) -> Campaign:
    """One campaign, for its creator or an administrator."""
    return _own(request, campaign_id)


@campaigns.patch("/{campaign_id}", response={200: CampaignOut, ERRORS | {400, 409}: Error})
def campaign_patch(request: Signed, campaign_id: Id, body: CampaignPatch) -> Campaign:
    """Change a campaign as far as its state allows."""
    campaign, fields = _own(request, campaign_id), _fields(request, body)
    status = fields.pop("status", None)
    with transaction.atomic():
        if fields:
            campaign = services.campaign_update(campaign=campaign, by=request.user, **fields)
        if status not in (None, campaign.status):
            go = services.campaign_launch if status == CampaignStatus.SCHEDULED else services.campaign_withdraw
            campaign = go(campaign=campaign, by=request.user)
    return campaign


@campaigns.delete("/{campaign_id}", response={204: None, ERRORS: Error})
def campaign_delete(request: Signed, campaign_id: Id) -> Status[None]:
    """Cancel and hide; its messages and figures stay."""
    services.campaign_delete(campaign=_own(request, campaign_id), by=request.user)
    return Status(204, None)


@campaigns.post("/{campaign_id}/pause", response={200: CampaignOut, ERRORS | {409}: Error})
def campaign_pause(request: Signed, campaign_id: Id) -> Campaign:
    """Nothing more leaves until it is resumed."""
    return services.campaign_pause(campaign=_own(request, campaign_id), by=request.user)


@campaigns.post("/{campaign_id}/resume", response={200: CampaignOut, ERRORS | {409}: Error})
def campaign_resume(request: Signed, campaign_id: Id) -> Campaign:
    """Go on where it was paused."""
    return services.campaign_resume(campaign=_own(request, campaign_id), by=request.user)


@campaigns.post("/{campaign_id}/cancel", response={200: CampaignOut, ERRORS | {409}: Error})
def campaign_cancel(request: Signed, campaign_id: Id) -> Campaign:
    """Stop for good."""
    return services.campaign_cancel(campaign=_own(request, campaign_id), by=request.user)


@campaigns.post("/{campaign_id}/duplicate", response={201: CampaignOut, ERRORS: Error})
def campaign_duplicate(request: Signed, campaign_id: Id) -> Status[Campaign]:
    """A draft with the same text and audience."""
    return Status(201, services.campaign_duplicate(campaign=_own(request, campaign_id), by=request.user))


@campaigns.get("/{campaign_id}/stats", response={200: StatsOut, ERRORS: Error})
def stats(request: Signed, campaign_id: Id) -> Any:
    """The figures of all runs of a campaign."""
    return campaign_statistics(_own(request, campaign_id))


@campaigns.get("/{campaign_id}/messages", response={200: Page[MessageSummary], ERRORS: Error})
def message_list(request: Signed, campaign_id: Id, query: Query[MessageQuery]) -> dict[str, Any]:
    """The messages of a campaign, newest first."""
    found = Message.objects.filter(run__campaign=_own(request, campaign_id)).select_related("run", "contact")
    if query.status is not None:
        found = found.filter(status=query.status)
    return page_of(keyset(found, query.cursor, query.limit), lambda row: row)


@messages.get("/{message_id}", response={200: MessageOut, ERRORS: Error})
def message_read(request: Signed, message_id: Id) -> Any:
    """One message with its failed attempts, oldest first."""
    failures = Prefetch("failures", Attempt.objects.order_by("at", "pk"))
    found = Message.objects.select_related("run__campaign", "contact").prefetch_related(failures)
    message = get_object_or_404(found, pk=message_id)
    _check_owner(request, message.run.campaign)
    return message


def _own(request: Signed, campaign_id: int) -> Campaign:
    """The campaign, if the user may open it."""
    campaign = get_object_or_404(Campaign.objects.visible(), pk=campaign_id)
    _check_owner(request, campaign)
    return campaign


def _check_owner(request: Signed, campaign: Campaign) -> None:
    if not request.user.may_change(campaign):
        raise PermissionDenied(_("This campaign is not yours."))


def _fields(request: Signed, body: CampaignFields) -> dict[str, Any]:
    """What was given, as the services take it."""
    fields: dict[str, Any] = body.dict(exclude_unset=True)
    for name, value in fields.items():
        if isinstance(value, datetime):
            aware = make_aware(value, ZoneInfo(request.user.timezone)) if is_naive(value) else value
            fields[name] = aware.astimezone(UTC)
    if "audience" in fields:
        fields["audience"] = body.audience.value()
    if body.window and "window" in fields:
        fields["window"] = (body.window.start, body.window.end)
    return fields
