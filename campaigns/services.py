"""What people do to campaigns; pages and API both come here.

Each function checks that `by` may (PermissionDenied), that the campaign's state allows it (Conflict), and that the
fields make sense (ValidationError by field).
"""

from collections.abc import Callable
from datetime import datetime, time, timedelta
from typing import Any, Final

import structlog
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, transaction
from django.utils.timezone import now
from django.utils.translation import gettext as _

from accounts.models import User
from campaigns import connections, direct, unknown
from campaigns.lifecycle import hint_advance, hint_start, retry_failed
from campaigns.models import MAX_TEXT_LENGTH, Campaign, Gateway, Message, Run
from campaigns.states import UNFINISHED, CampaignStatus, Remedy, campaign_may
from directory.audience import Audience
from project.http import Conflict

log = structlog.get_logger("vestnik.campaigns")

ALWAYS: Final = frozenset({"name", "ends_at", "window", "rate_limit"})
BEFORE_SENDING: Final = ALWAYS | {"text", "audience"}
BEFORE_START: Final = BEFORE_SENDING | {"starts_at", "local_time", "repeat", "gateway"}
CHANGEABLE: Final = {
    CampaignStatus.DRAFT: BEFORE_START,
    CampaignStatus.SCHEDULED: BEFORE_START,
    CampaignStatus.RUNNING: ALWAYS,
    CampaignStatus.PAUSED: BEFORE_SENDING,
    CampaignStatus.FINISHED: frozenset[str](),
    CampaignStatus.CANCELLED: frozenset[str](),
}


def campaign_create(
    *,
    owner: User,
    name: str,
    text: str,
    audience: Audience,
    ends_at: datetime,
    starts_at: datetime | None = None,
    local_time: bool = False,
    window: tuple[time, time] | None = None,
    repeat: str = "once",
    rate_limit: float | None = None,
    draft: bool = False,
    zone: str | None = None,
    gateway: Gateway | None = None,
) -> Campaign:
    """A new campaign that starts by itself, or a draft. Without `starts_at` it starts at once.

    Wall-clock times (`local_time`, `repeat`) are read in `zone`, or else in the owner's time zone. Without `gateway`
    messages leave by the one that the settings describe.
    """
    campaign = Campaign(
        owner=owner,
        timezone=zone or owner.timezone,
        status=CampaignStatus.DRAFT if draft else CampaignStatus.SCHEDULED,
        # In whole seconds, so that who reads it as JSON and sends it back changes nothing.
        starts_at=starts_at or now().replace(microsecond=0),
    )
    fields = {"name": name, "text": text, "audience": audience, "ends_at": ends_at, "local_time": local_time}
    _assign(campaign, {**fields, "window": window, "repeat": repeat, "rate_limit": rate_limit, "gateway": gateway})
    with transaction.atomic():
        _save(campaign)
        _wake(campaign)
    return campaign


def campaign_update(*, campaign: Campaign, by: User, **changes: Any) -> Campaign:
    """Change fields as far as the campaign's state allows; equal values are no change."""

    def change(locked: Campaign) -> None:
        different = {name: value for name, value in changes.items() if _value(locked, name) != value}
        forbidden = sorted(different.keys() - CHANGEABLE[CampaignStatus(locked.status)])
        if forbidden:
            raise Conflict(
                _("While a campaign is %(state)s, this can’t be changed: %(fields)s.")
                % {"state": locked.get_status_display().lower(), "fields": ", ".join(forbidden)}
            )
        _assign(locked, different)
        _save(locked)
        # Marks for `campaign_advance`: a run may have a million messages, too many for a request.
        if "window" in different:
            locked.runs.active().update(replan_from=0)
        if "audience" in different:
            locked.runs.active().update(joined_at=None)

    return _change(campaign, by, change)


def campaign_launch(*, campaign: Campaign, by: User) -> Campaign:
    """A draft becomes scheduled, and starts by itself at its time."""
    return _go(campaign, by, CampaignStatus.SCHEDULED, _("Only a draft can be launched."))


def campaign_withdraw(*, campaign: Campaign, by: User) -> Campaign:
    """A scheduled campaign becomes a draft again."""
    return _go(campaign, by, CampaignStatus.DRAFT, _("Only a scheduled campaign can become a draft again."))


def campaign_pause(*, campaign: Campaign, by: User) -> Campaign:
    """Nothing more leaves until it is resumed."""
    return _go(campaign, by, CampaignStatus.PAUSED, _("Only a running campaign can be paused."))


def campaign_resume(*, campaign: Campaign, by: User) -> Campaign:
    """Go on where it was paused."""

    def change(locked: Campaign) -> None:
        if locked.status != CampaignStatus.PAUSED:
            raise Conflict(_("Only a paused campaign can be resumed."))
        locked.status = CampaignStatus.RUNNING
        _save(locked)

    return _change(campaign, by, change)


def campaign_retry_failed(*, campaign: Campaign, by: User) -> Campaign:
    """Give what failed its attempts anew, with the same ids and payloads; a finished campaign runs again for that."""

    def change(locked: Campaign) -> None:
        if not locked.retryable or not retry_failed(locked):
            raise Conflict(_("Nothing can be retried: nothing failed, or the campaign’s end has passed."))
        _reopen(locked)

    return _change(campaign, by, change)


def campaign_remedy(*, campaign: Campaign, by: User, remedy: Remedy) -> Campaign:
    """Make the same of everything in a campaign that is unknown now; a finished one runs again if that is to send it.

    It may be a million messages, so `campaign_advance` does it.
    """

    def change(locked: Campaign) -> None:
        _check_gateway(locked, remedy)
        if locked.runs.exclude(remedy="").exists():
            raise Conflict(_("What is unknown is being worked on already."))
        if not unknown.mark(locked, remedy):
            raise Conflict(_("There is nothing of the kind, or the campaign’s end has passed."))
        if remedy in unknown.SENDING:
            _reopen(locked)

    return _change(campaign, by, change)


def message_remedy(*, message: Message, by: User, remedy: Remedy) -> Message:
    """Make something of one message that is unknown; return it, or the one that is sent instead, as it is now."""
    found = unknown.remediable(remedy).filter(pk=message.pk).select_related("run", "contact")
    told = message

    def change(locked: Campaign) -> None:
        nonlocal told
        _check_gateway(locked, remedy)
        row = found.select_for_update(of=("self",)).first()
        if row is None:
            raise Conflict(_("This message is not unknown, or it has been sent again already."))
        row.run.campaign = locked
        if locked.direct and remedy == Remedy.RESEND:
            told = direct.message_resend(row)
            return
        if not unknown.allows(row.run, remedy):
            raise Conflict(_("The campaign’s end has passed: nothing leaves any more."))
        told = unknown.apply(row.run, [row], remedy)[0]
        if remedy in unknown.SENDING:
            Run.objects.filter(pk=row.run_id).update(finished_at=None)
            if not locked.direct:
                _reopen(locked)

    _change(message.run.campaign, by, change)
    return Message.objects.select_related("run__campaign", "contact").get(pk=told.pk)


def campaign_test(*, campaign: Campaign, by: User, phone: str | int) -> Message:
    """Send the campaign's text to one phone by its gateway, now and whatever its state; none of its figures change."""
    if not by.may_change(campaign):
        raise PermissionDenied(_("This campaign is not yours."))
    return direct.message_send(owner=by, phone=phone, text=campaign.text, gateway=campaign.gateway)


def campaigns_follow_tag(*, old: str, new: str, **_signal: Any) -> None:
    """Have the audiences of campaigns that are not over name a tag as it is called now.

    One that would become the twin of another by that keeps the old name, and writes to nobody by it.
    """
    for found in Campaign.objects.filter(status__in=(*UNFINISHED, CampaignStatus.DRAFT), direct=False):
        if found.picks.renamed(old, new) == found.picks:
            continue
        try:
            with transaction.atomic():
                campaign = Campaign.objects.locked().get(pk=found.pk)
                campaign.audience = campaign.picks.renamed(old, new).to_json()
                campaign.save(update_fields=["audience", "fingerprint", "updated_at"])
        except IntegrityError:
            log.warning("tag not followed, for campaigns would be twins", campaign=found.pk)
        else:
            _wake(campaign)


def campaign_cancel(*, campaign: Campaign, by: User) -> Campaign:
    """Stop for good: what has not left is cancelled."""
    return _go(campaign, by, CampaignStatus.CANCELLED, _("This campaign is over already."))


def campaign_delete(*, campaign: Campaign, by: User) -> None:
    """Cancel and hide; its messages and figures stay."""

    def change(locked: Campaign) -> None:
        if campaign_may(locked.status, CampaignStatus.CANCELLED):
            locked.status = CampaignStatus.CANCELLED
        locked.deleted_at = now()
        _save(locked)

    _change(campaign, by, change)


def campaign_duplicate(*, campaign: Campaign, by: User) -> Campaign:
    """A draft with the same text and audience that starts now and lasts as long."""
    if not by.may_change(campaign):
        raise PermissionDenied(_("This campaign is not yours."))
    starts_at = max(campaign.starts_at, now())
    return campaign_create(
        owner=by,
        name=_("Copy of %(name)s") % {"name": campaign.name[:180]},
        text=campaign.text,
        audience=campaign.picks,
        starts_at=starts_at,
        ends_at=starts_at + max(campaign.ends_at - campaign.starts_at, timedelta(hours=1)),
        local_time=campaign.local_time,
        window=campaign.window,
        repeat=campaign.repeat,
        rate_limit=campaign.rate_limit,
        draft=True,
        zone=campaign.timezone,
        gateway=campaign.gateway,
    )


def _check_gateway(campaign: Campaign, remedy: Remedy) -> None:
    """The same id may go to the gateway again only if that is the same message to it."""
    if remedy == Remedy.RETRY and not connections.campaign_takes_repeats(campaign):
        raise Conflict(_("This gateway may write twice when it is tried again. Send a new message instead."))


def _reopen(campaign: Campaign) -> None:
    """A campaign that has something to send again, runs again if it was finished; whatever looks at it starts anew."""
    if campaign.status == CampaignStatus.FINISHED:
        campaign.status, campaign.finished_at = CampaignStatus.RUNNING, None
    _save(campaign)


def _go(campaign: Campaign, by: User, target: CampaignStatus, refusal: str) -> Campaign:
    """To another state, if the table allows it from the present one."""

    def change(locked: Campaign) -> None:
        if not campaign_may(locked.status, target):
            raise Conflict(refusal)
        locked.status = target
        _save(locked)

    return _change(campaign, by, change)


def _change(campaign: Campaign, by: User, change: Callable[[Campaign], None]) -> Campaign:
    """Run `change` on the locked row, then have the campaign looked at."""
    if not by.may_change(campaign):
        raise PermissionDenied(_("This campaign is not yours."))
    with transaction.atomic():
        locked = Campaign.objects.locked().get(pk=campaign.pk)
        change(locked)
        _wake(locked)
    return locked


def _wake(campaign: Campaign) -> None:
    """Leave the hint that makes the change felt."""
    if campaign.status == CampaignStatus.SCHEDULED and not campaign.local_time:
        hint_start(campaign.pk, campaign.starts_at)
    elif campaign.status != CampaignStatus.DRAFT:
        hint_advance(campaign.pk)


def _value(campaign: Campaign, name: str) -> Any:
    """A field as the services' arguments have it."""
    return campaign.picks if name == "audience" else getattr(campaign, name)


def _assign(campaign: Campaign, fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        if name == "audience":
            campaign.audience = value.to_json()
        elif name == "window":
            campaign.window_start, campaign.window_end = value or (None, None)
        else:
            setattr(campaign, name, value)


def _save(campaign: Campaign) -> None:
    """Check the fields, and let the database refuse a twin, so that two requests at once can't both pass."""
    campaign.full_clean(exclude=["owner", "audience"], validate_constraints=False)
    _check_text(campaign.text)
    _check_times(campaign)
    try:
        with transaction.atomic():
            campaign.save()
    except IntegrityError as error:
        raise Conflict(_("A campaign with the same text, audience and repeat is not finished yet.")) from error


def _check_text(text: str) -> None:
    """What a model’s text field does not check by itself."""
    if not text.strip():
        raise ValidationError({"text": _("Write something.")})
    if len(text) > MAX_TEXT_LENGTH:
        raise ValidationError({"text": _("At most %(n)d characters.") % {"n": MAX_TEXT_LENGTH}})


def _check_times(campaign: Campaign) -> None:
    if campaign.ends_at <= campaign.starts_at:
        raise ValidationError({"ends_at": _("The end must come after the start.")})
    stopped = (CampaignStatus.PAUSED, CampaignStatus.CANCELLED, CampaignStatus.FINISHED)
    if campaign.status not in stopped and campaign.ends_at <= now():
        raise ValidationError({"ends_at": _("The end has passed already.")})
    if campaign.window and campaign.window[0] == campaign.window[1]:
        raise ValidationError({"window": _("The window must open and close at different times.")})
