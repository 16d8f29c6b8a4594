"""The definition of a campaign: text, audience, times and repetition."""

import hashlib
import json
from collections.abc import Mapping
from datetime import time
from typing import Any, ClassVar, Final

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from campaigns.fields import COLUMNS, FIELDS
from campaigns.gateways.senders import MAX_LENGTH as MAX_SENDER_LENGTH
from campaigns.states import UNFINISHED, CampaignStatus, Repeat, check_campaign_transition
from directory.audiences.audience import Audience
from project.core import clock
from project.core.clock import now
from project.core.fields import ClockField
from project.core.money import MoneyField
from project.http.lists import contains_words

MAX_TEXT_LENGTH: Final = 1600


class CampaignQuerySet(models.QuerySet["Campaign"]):
    """Queries for campaigns."""

    def planned(self) -> "CampaignQuerySet":
        """Campaigns that users created, without the hidden ones of transactional messages."""
        return self.filter(transactional=False)

    def visible(self) -> "CampaignQuerySet":
        """Campaigns that users created and did not delete."""
        return self.planned().filter(deleted_at=None)

    def alive(self) -> "CampaignQuerySet":
        """Unfinished campaigns: scheduled, running or paused."""
        return self.filter(status__in=UNFINISHED)

    def locked(self) -> "CampaignQuerySet":
        """Lock the rows until the transaction ends, but allow foreign keys to them.

        When a run is updated twice in a transaction, PostgreSQL checks at the commit that its campaign exists.
        """
        return self.select_for_update(of=("self",), no_key=True)

    def search(self, text: str) -> "CampaignQuerySet":
        """Campaigns whose name contains every word of `text`."""
        return self.filter(contains_words(text, "name"))


RECORDED: Final = [*COLUMNS, "timezone", "status", "deleted_at"]


class Campaign(models.Model):
    """What to send, to whom, when and how often.

    At `budget_reached_at` it was paused because its next message would have exceeded its budget or its owner's.

    A `transactional` campaign is hidden. It holds the transactional messages of one user and gateway. It has a run per
    day, no recipients of its own, and no end.
    """

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="campaigns",
        verbose_name=_("creator"),
    )
    name = models.CharField(_("name"), max_length=200)
    text = models.TextField(_("text"), max_length=MAX_TEXT_LENGTH)
    audience = models.JSONField(_("audience"), default=dict)
    starts_at = models.DateTimeField(_("start"), default=now)
    ends_at = models.DateTimeField(_("end"))
    local_time = models.BooleanField(_("in each contact’s local time"), default=False)
    timezone = models.CharField(_("time zone"), max_length=64)
    window_start = models.TimeField(_("sending hours start"), null=True, blank=True)
    window_end = models.TimeField(_("sending hours end"), null=True, blank=True)
    repeat = models.CharField(_("repeat"), max_length=8, choices=Repeat.choices, default=Repeat.ONCE)
    rate_limit = models.FloatField(
        _("speed limit, messages per second"), null=True, blank=True, validators=[MinValueValidator(0.01)]
    )
    budget = MoneyField(_("budget"), null=True, blank=True)
    budget_reached_at = models.DateTimeField(_("budget reached"), null=True, editable=False)
    status = models.CharField(
        _("status"), max_length=9, choices=CampaignStatus.choices, default=CampaignStatus.SCHEDULED
    )
    gateway = models.ForeignKey(
        "Gateway", on_delete=models.PROTECT, related_name="+", verbose_name=_("gateway"), null=True, blank=True
    )
    sender = models.CharField(_("sender name"), max_length=MAX_SENDER_LENGTH, null=True, blank=True)  # noqa: DJ001
    transactional = models.BooleanField(default=False, editable=False, db_column="direct")
    fingerprint = models.CharField(max_length=64, editable=False)
    created_at = ClockField(_("created"), auto_now_add=True)
    updated_at = ClockField(_("changed"), auto_now=True)
    finished_at = models.DateTimeField(_("finished"), null=True, editable=False)
    deleted_at = models.DateTimeField(_("deleted"), null=True, editable=False)

    objects = CampaignQuerySet.as_manager()

    VERSIONED: ClassVar = (*COLUMNS, "is_draft")

    NOT_YOURS: ClassVar = _("This campaign belongs to another user.")

    class Meta:
        verbose_name = _("campaign")
        verbose_name_plural = _("campaigns")
        constraints = [
            models.UniqueConstraint(
                fields=["fingerprint"], condition=Q(status__in=UNFINISHED), name="campaign_no_twin"
            ),
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="campaign_ends_after_start"),
            models.CheckConstraint(
                condition=Q(window_start=None, window_end=None)
                | Q(window_start__isnull=False, window_end__isnull=False),
                name="campaign_window_whole",
            ),
        ]
        indexes = [
            models.Index(fields=["status", "starts_at"], name="campaign_status_start"),
            # The list is sorted by these.
            models.Index(fields=["starts_at", "id"], name="campaign_start"),
            models.Index(Lower("name"), F("id"), name="campaign_name"),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save with the fingerprint; that of a transactional campaign consists of user and gateway."""
        if self.transactional:
            self.fingerprint = "-".join(map(str, filter(None, ("direct", self.owner_id, self.gateway_id))))
        else:
            self.fingerprint = self.identity()
        super().save(*args, **kwargs)

    def identity(self) -> str:
        """A digest of text, audience and repeat (SHA-256, hex), equal for duplicates."""
        values = {"audience": self.audience_filter.to_json()}
        identity = [values.get(field.name) or getattr(self, field.name) for field in FIELDS if field.identifies]
        return hashlib.sha256(json.dumps(identity).encode()).hexdigest()

    def lock_if_unchanged(self) -> bool:
        """Lock the row until the transaction ends; return whether it is unchanged since it was read."""
        # Planning changes only the status, not `updated_at`.
        same = Campaign.objects.locked().filter(pk=self.pk, updated_at=self.updated_at, status=self.status)
        return bool(list(same.values_list("pk", flat=True)))

    def become(self, status: CampaignStatus) -> None:
        """Set a status that the table allows, without saving; IllegalTransition for any other."""
        check_campaign_transition(self.status, status)
        self.status = status

    def enter(self, status: CampaignStatus, **values: Any) -> None:
        """Set and save the status with `values`. `updated_at` stays: it is for changes by users."""
        self.become(status)
        Campaign.objects.filter(pk=self.pk).update(status=status, **values)

    def unfinished_duplicate(self) -> "Campaign | None":
        """The unfinished campaign with the same fingerprint, which makes this one a duplicate."""
        found = Campaign.objects.filter(fingerprint=self.fingerprint, status__in=UNFINISHED)
        return found.exclude(pk=self.pk).first()

    def field_value(self, name: str) -> Any:
        """Return a field of `campaigns.fields` in the form of the services' arguments."""
        return self.audience_filter if name == "audience" else getattr(self, name)

    def set_fields(self, values: Mapping[str, Any]) -> None:
        """Set fields of `campaigns.fields` from the services' arguments, without saving."""
        for name, value in values.items():
            if name == "audience":
                self.audience = value.to_json()
            elif name == "window":
                self.window_start, self.window_end = value or (None, None)
            else:
                setattr(self, name, value)

    @property
    def audience_filter(self) -> Audience:
        """The audience as a value."""
        return Audience.from_json(self.audience)

    @property
    def is_draft(self) -> bool:
        """Whether it has not been launched."""
        return self.status == CampaignStatus.DRAFT

    @property
    def retryable(self) -> bool:
        """Whether failed messages may be retried."""
        begun = (CampaignStatus.RUNNING, CampaignStatus.PAUSED, CampaignStatus.FINISHED)
        return self.deleted_at is None and self.status in begun and self.ends_at > clock.now()

    @property
    def hours(self) -> tuple[time, time] | None:
        """The local hours in which messages are sent: its own window, or else all but the quiet hours."""
        quiet = settings.QUIET_HOURS
        if self.window or self.transactional or quiet is None:
            return self.window
        return quiet[1], quiet[0]

    @property
    def window(self) -> tuple[time, time] | None:
        """The local hours in which messages may be sent, or None for all."""
        if self.window_start is None or self.window_end is None:
            return None
        return self.window_start, self.window_end
