"""Operations on campaigns. Pages and API call these functions.

Each checks permission (PermissionDenied), the campaign's state (Conflict) and the fields (ValidationError by field).
"""

from collections.abc import Callable
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any

import structlog
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.optimistic_locking import check_version
from accounts.policies import check_may_change
from campaigns.fields import FIELDS, changeable_in
from campaigns.gateways import registry
from campaigns.messages import transactional, unresolved
from campaigns.models import MAX_TEXT_LENGTH, Campaign, Gateway, Message, Run
from campaigns.placeholders import check_placeholders
from campaigns.planning.lifecycle import hint_advance, hint_start, retry_failed
from campaigns.sending import budgets
from campaigns.states import UNFINISHED, CampaignStatus, Resolution, campaign_may
from campaigns.text import measure, normalise, render
from directory.audiences.audience import Audience
from project.core.clock import now
from project.http.errors import Conflict

log = structlog.get_logger("vestnik.campaigns")


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
    sender: str | None = None,
    budget: Decimal | None = None,
) -> Campaign:
    """Create a campaign that starts automatically, or a draft. Without `starts_at` it starts at once.

    Wall-clock times (`local_time`, `repeat`) are read in `zone`, or else in the owner's time zone. Without `gateway`,
    messages are sent through the settings' gateway; without `sender`, under the gateway's default name.
    """
    campaign = Campaign(
        owner=owner,
        timezone=zone or owner.timezone,
        status=CampaignStatus.DRAFT if draft else CampaignStatus.SCHEDULED,
        # In whole seconds, so that a client that reads the JSON and sends it back changes nothing.
        starts_at=starts_at or now().replace(microsecond=0),
    )
    fields: dict[str, Any] = {
        "name": name,
        "text": text,
        "audience": audience,
        "ends_at": ends_at,
        "local_time": local_time,
        "window": window,
        "repeat": repeat,
        "rate_limit": rate_limit,
        "gateway": gateway,
        "sender": sender,
        "budget": budget,
    }
    campaign.set_fields(_normalised(campaign, fields))
    _check_sendable(campaign)
    registry.check_sender(campaign.gateway, campaign.sender)
    with transaction.atomic():
        _save(campaign)
        _leave_hint(campaign)
    return campaign


def campaign_update(*, campaign: Campaign, by: User, version: str | None = None, **changes: Any) -> Campaign:
    """Change fields as far as the campaign's state allows; equal values are no change.

    `audience` is an `Audience`, or the JSON of the filters to change; the others stay. Raises `Stale` (a Conflict)
    unless the campaign has the given version.
    """

    def change(locked: Campaign) -> None:
        check_version(locked, version)
        wanted = _normalised(locked, changes)
        different = {name: value for name, value in wanted.items() if locked.field_value(name) != value}
        forbidden = sorted(different.keys() - changeable_in(locked.status))
        if forbidden:
            raise Conflict(
                _("These fields can’t be changed while the campaign is %(state)s: %(fields)s.")
                % {"state": locked.get_status_display().lower(), "fields": ", ".join(forbidden)}
            )
        locked.set_fields(different)
        if different.keys() & {"text", "audience", "gateway"}:
            _check_sendable(locked)
        if different.keys() & {"sender", "gateway"}:
            registry.check_sender(locked.gateway, locked.sender)
        _save(locked)
        # Marks for `campaign_advance`: a run may have a million messages, too many for a request.
        if "window" in different:
            locked.runs.active().update(replan_from=0)
        if "audience" in different:
            locked.runs.active().update(joined_at=None)

    return _change(campaign, by, change)


def campaign_launch(*, campaign: Campaign, by: User) -> Campaign:
    """Launch a draft: it becomes scheduled and starts at its start time."""
    _check_sendable(campaign, launched=True)
    registry.check_sender(campaign.gateway, campaign.sender)
    return _change_status(campaign, by, CampaignStatus.SCHEDULED, _("Only a draft can be launched."))


def _check_sendable(campaign: Campaign, *, launched: bool = False) -> None:
    """Raise ValidationError unless placeholders can be filled and, except for drafts, the gateway accepts the length.

    Contacts' values may make a text longer. A message that then has too many parts fails when it is leased.
    """
    check_placeholders(campaign.text, campaign.audience_filter)
    if launched or campaign.status != CampaignStatus.DRAFT:
        registry.check_parts(campaign, measure(render(campaign.text, {})).parts)


def campaign_withdraw(*, campaign: Campaign, by: User) -> Campaign:
    """Make a scheduled campaign a draft again."""
    refusal = _("Only a scheduled campaign can be moved back to draft.")
    return _change_status(campaign, by, CampaignStatus.DRAFT, refusal)


def campaign_pause(*, campaign: Campaign, by: User) -> Campaign:
    """Pause a running campaign: nothing more is sent until it is resumed."""
    return _change_status(campaign, by, CampaignStatus.PAUSED, _("Only a running campaign can be paused."))


def campaign_resume(*, campaign: Campaign, by: User, budget: Decimal | None = None) -> Campaign:
    """Continue a paused campaign, with a new budget if one is given."""

    def change(locked: Campaign) -> None:
        if locked.status != CampaignStatus.PAUSED:
            raise Conflict(_("Only a paused campaign can be resumed."))
        if budget is not None:
            locked.budget = budget
        locked.become(CampaignStatus.RUNNING)
        locked.budget_reached_at = None
        _save(locked)
        _check_budget(locked)

    return _change(campaign, by, change)


def campaign_retry_failed(*, campaign: Campaign, by: User) -> Campaign:
    """Retry failed messages with the same ids and payloads; a finished campaign runs again."""

    def change(locked: Campaign) -> None:
        if not locked.retryable or not retry_failed(locked):
            raise Conflict(_("Nothing to retry: no messages failed, or the campaign’s end time has passed."))
        _reopen(locked)

    return _change(campaign, by, change)


def campaign_resolve(*, campaign: Campaign, by: User, resolution: Resolution) -> Campaign:
    """Resolve all unknown messages of a campaign; a finished campaign runs again if messages are to be sent.

    There may be a million messages, so `campaign_advance` does the work.
    """

    def change(locked: Campaign) -> None:
        _check_gateway(locked, resolution)
        if locked.runs.exclude(resolution="").exists():
            raise Conflict(_("Messages with an unknown outcome are already being processed."))
        if not unresolved.mark(locked, resolution):
            raise Conflict(_("There are no such messages, or the campaign’s end time has passed."))
        if resolution in unresolved.SENDING:
            _reopen(locked)

    return _change(campaign, by, change)


def message_resolve(*, message: Message, by: User, resolution: Resolution) -> Message:
    """Resolve one unknown message; return it, or the new message sent instead, reloaded."""
    found = unresolved.resolvable(resolution).filter(pk=message.pk).select_related("run", "contact")
    result = message

    def change(locked: Campaign) -> None:
        nonlocal result
        _check_gateway(locked, resolution)
        row = found.select_for_update(of=("self",)).first()
        if row is None:
            raise Conflict(_("The outcome of this message is known, or it has already been resent."))
        row.run.campaign = locked
        if locked.transactional and resolution == Resolution.RESEND:
            result = transactional.message_resend(row)
            return
        if not unresolved.allows(row.run, resolution):
            raise Conflict(_("The campaign’s end time has passed, so nothing more is sent."))
        result = unresolved.apply(row.run, [row], resolution)[0]
        if resolution in unresolved.SENDING:
            Run.objects.filter(pk=row.run_id).update(finished_at=None)
            if not locked.transactional:
                _reopen(locked)

    _change(message.run.campaign, by, change)
    return Message.objects.select_related("run__campaign", "contact").get(pk=result.pk)


def campaign_test(*, campaign: Campaign, by: User, phone: str | int) -> Message:
    """Send the campaign's text to one phone now, in any state. The campaign's figures do not change."""
    check_may_change(by, campaign)
    if "sender" in changeable_in(campaign.status):
        registry.check_sender(campaign.gateway, campaign.sender)
    return transactional.message_send(
        owner=by,
        phone=phone,
        text=campaign.text,
        gateway=campaign.gateway,
        sender=campaign.sender,
        sender_required=False,
    )


def rename_tag_in_campaigns(*, old: str, new: str, **_signal: Any) -> None:
    """Rename a tag in the audiences of drafts and unfinished campaigns.

    A campaign that would become a duplicate keeps the old name, and then reaches nobody by it.
    """
    for found in Campaign.objects.planned().filter(status__in=(*UNFINISHED, CampaignStatus.DRAFT)):
        if found.audience_filter.with_tag_renamed(old, new) == found.audience_filter:
            continue
        try:
            with transaction.atomic():
                campaign = Campaign.objects.locked().get(pk=found.pk)
                campaign.audience = campaign.audience_filter.with_tag_renamed(old, new).to_json()
                campaign.save(update_fields=["audience", "fingerprint", "updated_at"])
        except IntegrityError:
            log.warning("tag not renamed in campaign: it would become a duplicate", campaign=found.pk)
        else:
            _leave_hint(campaign)


def campaign_cancel(*, campaign: Campaign, by: User) -> Campaign:
    """Stop a campaign permanently: messages that were not sent are cancelled."""
    return _change_status(campaign, by, CampaignStatus.CANCELLED, _("This campaign has already ended."))


def campaign_delete(*, campaign: Campaign, by: User) -> None:
    """Cancel and hide a campaign; its messages and figures stay."""

    def change(locked: Campaign) -> None:
        if campaign_may(locked.status, CampaignStatus.CANCELLED):
            locked.become(CampaignStatus.CANCELLED)
        locked.deleted_at = now()
        _save(locked)

    _change(campaign, by, change)


def campaign_duplicate(*, campaign: Campaign, by: User) -> Campaign:
    """Create a draft with the same text and audience that starts now and has the same duration.

    A sender name that the gateway no longer allows is not copied.
    """
    check_may_change(by, campaign)
    starts_at = max(campaign.starts_at, now())
    copied = {field.name: campaign.field_value(field.name) for field in FIELDS if field.copied}
    if registry.sender_problem(campaign.gateway, campaign.sender):
        copied["sender"] = None
    return campaign_create(
        owner=by,
        name=_("Copy of %(name)s") % {"name": campaign.name[:180]},
        starts_at=starts_at,
        ends_at=starts_at + max(campaign.ends_at - campaign.starts_at, timedelta(hours=1)),
        draft=True,
        zone=campaign.timezone,
        **copied,
    )


def _check_gateway(campaign: Campaign, resolution: Resolution) -> None:
    """Raise Conflict if a retry could deliver a message twice, because a gateway is not idempotent."""
    if resolution == Resolution.RETRY and not registry.all_gateways_idempotent(campaign):
        raise Conflict(_("With this gateway a retry may deliver the message twice. Send a new message instead."))


def _check_budget(campaign: Campaign) -> None:
    """Raise Conflict if nothing is left of the campaign's budget or of its owner's for this month."""
    left = budgets.left(campaign)
    if left.campaign is not None and left.campaign <= 0:
        raise Conflict(_("The campaign’s budget is used up. Enter a larger one."))
    if left.month is not None and left.month <= 0:
        raise Conflict(_("This month’s budget of the campaign’s creator is used up. An administrator can raise it."))


def _reopen(campaign: Campaign) -> None:
    """Set a finished campaign running again. Saving it stops concurrent work that started from an older state."""
    if campaign.status == CampaignStatus.FINISHED:
        campaign.become(CampaignStatus.RUNNING)
        campaign.finished_at = campaign.budget_reached_at = None
    _save(campaign)


def _change_status(campaign: Campaign, by: User, target: CampaignStatus, refusal: str) -> Campaign:
    """Change the status if the transition table allows it; otherwise raise Conflict."""

    def change(locked: Campaign) -> None:
        if not campaign_may(locked.status, target):
            raise Conflict(refusal)
        locked.become(target)
        _save(locked)

    return _change(campaign, by, change)


def _change(campaign: Campaign, by: User, change: Callable[[Campaign], None]) -> Campaign:
    """Run `change` on the locked row, then leave a hint."""
    check_may_change(by, campaign)
    with transaction.atomic():
        locked = Campaign.objects.locked().get(pk=campaign.pk)
        change(locked)
        _leave_hint(locked)
    return locked


def _leave_hint(campaign: Campaign) -> None:
    """Leave the hint that makes the change take effect."""
    if campaign.status == CampaignStatus.SCHEDULED and not campaign.local_time:
        hint_start(campaign.pk, campaign.starts_at)
    elif campaign.status != CampaignStatus.DRAFT:
        hint_advance(campaign.pk)


def _normalised(campaign: Campaign, fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields with the normalised text and the complete audience."""
    values = dict(fields)
    if "text" in values:
        values["text"] = normalise(values["text"])
    if "audience" in values and not isinstance(values["audience"], Audience):
        values["audience"] = campaign.audience_filter.with_filters(values["audience"])
    return values


def _save(campaign: Campaign) -> None:
    """Validate and save. The database refuses duplicates, so only one of two simultaneous requests succeeds."""
    campaign.full_clean(exclude=["owner", "audience"], validate_constraints=False)
    _check_text(campaign.text)
    _check_times(campaign)
    try:
        with transaction.atomic():
            campaign.save()
    except IntegrityError as error:
        duplicate = campaign.unfinished_duplicate()
        if duplicate and duplicate.owner_id != campaign.owner_id:
            raise Conflict(_("This campaign conflicts with an unfinished campaign of another user.")) from error
        raise Conflict(
            _("An unfinished campaign with the same text, audience and repeat setting already exists.")
        ) from error


def _check_text(text: str) -> None:
    """Check what a model's text field does not check."""
    if not text.strip():
        raise ValidationError({"text": _("Enter a text.")})
    if len(text) > MAX_TEXT_LENGTH:
        raise ValidationError({"text": _("Use at most %(n)d characters.") % {"n": MAX_TEXT_LENGTH}})


def _check_times(campaign: Campaign) -> None:
    if campaign.ends_at <= campaign.starts_at:
        raise ValidationError({"ends_at": _("The end must be after the start.")})
    stopped = (CampaignStatus.PAUSED, CampaignStatus.CANCELLED, CampaignStatus.FINISHED)
    if campaign.status not in stopped and campaign.ends_at <= now():
        raise ValidationError({"ends_at": _("The end time has already passed.")})
    if campaign.window and campaign.window[0] == campaign.window[1]:
        raise ValidationError({"window": _("The sending hours must start and end at different times.")})
