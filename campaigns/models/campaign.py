"""The definition of what to say, to whom, when and how often."""

import hashlib
import json
from datetime import time
from typing import Any, Final

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from campaigns.states import UNFINISHED, CampaignStatus, Repeat
from directory.audience import Audience
from project import clock
from project.lists import holding

MAX_TEXT_LENGTH: Final = 1600


class CampaignQuerySet(models.QuerySet["Campaign"]):
    """Campaigns by what can be asked of them."""

    def visible(self) -> "CampaignQuerySet":
        """Those that people made and did not delete."""
        return self.filter(direct=False, deleted_at=None)

    def alive(self) -> "CampaignQuerySet":
        """Those that the clock may still move: scheduled, running or paused."""
        return self.filter(status__in=UNFINISHED)

    def locked(self) -> "CampaignQuerySet":
        """The same, locked until the transaction ends, but not against being referred to.

        Who counts in a run twice has PostgreSQL check at the commit that its campaign is there, and has the run locked.
        """
        return self.select_for_update(of=("self",), no_key=True)

    def search(self, text: str) -> "CampaignQuerySet":
        """Those whose name holds every word of `text`."""
        return self.filter(holding(text, "name"))


RECORDED: Final = [
    *("name", "text", "audience", "starts_at", "ends_at", "local_time", "timezone", "window_start", "window_end"),
    *("repeat", "rate_limit", "gateway", "status", "deleted_at"),
]


class Campaign(models.Model):
    """What to say, to whom, when and how often.

    One that is `direct` is nobody's plan: it holds what its owner sends to single phones by one gateway, with a run for
    each day, has no recipients of its own, runs for ever, and stands on no list.
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
    local_time = models.BooleanField(_("in each contact’s own time"), default=False)
    timezone = models.CharField(_("time zone"), max_length=64)
    window_start = models.TimeField(_("not before"), null=True, blank=True)
    window_end = models.TimeField(_("not after"), null=True, blank=True)
    repeat = models.CharField(_("repeat"), max_length=8, choices=Repeat.choices, default=Repeat.ONCE)
    rate_limit = models.FloatField(
        _("messages per second at most"), null=True, blank=True, validators=[MinValueValidator(0.01)]
    )
    status = models.CharField(
        _("state"), max_length=9, choices=CampaignStatus.choices, default=CampaignStatus.SCHEDULED
    )
    gateway = models.ForeignKey(
        "Gateway", on_delete=models.PROTECT, related_name="+", verbose_name=_("gateway"), null=True, blank=True
    )
    direct = models.BooleanField(default=False, editable=False)
    fingerprint = models.CharField(max_length=64, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)
    finished_at = models.DateTimeField(_("finished"), null=True, editable=False)
    deleted_at = models.DateTimeField(_("deleted"), null=True, editable=False)

    objects = CampaignQuerySet.as_manager()

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
            # The list reads its rows in these orders.
            models.Index(fields=["starts_at", "id"], name="campaign_start"),
            models.Index(Lower("name"), F("id"), name="campaign_name"),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Keep the fingerprint true to text, audience and repeat; direct messages have one by user and gateway."""
        direct = "-".join(map(str, filter(None, ("direct", self.owner_id, self.gateway_id))))
        self.fingerprint = direct if self.direct else fingerprint_of(self.text, self.picks, self.repeat)
        super().save(*args, **kwargs)

    def hold(self) -> bool:
        """Lock the row until the transaction ends, and tell whether nobody has changed it since it was read."""
        # What the clock does to it moves the status alone.
        same = Campaign.objects.locked().filter(pk=self.pk, updated_at=self.updated_at, status=self.status)
        return bool(list(same.values_list("pk", flat=True)))

    @property
    def picks(self) -> Audience:
        """The audience as a value."""
        return Audience.from_json(self.audience)

    @property
    def retryable(self) -> bool:
        """Whether what failed may be given its attempts anew."""
        begun = (CampaignStatus.RUNNING, CampaignStatus.PAUSED, CampaignStatus.FINISHED)
        return self.deleted_at is None and self.status in begun and self.ends_at > clock.now()

    @property
    def window(self) -> tuple[time, time] | None:
        """The local hours in which a message may leave, or None for all of them."""
        if self.window_start is None or self.window_end is None:
            return None
        return self.window_start, self.window_end


def fingerprint_of(text: str, audience: Audience, repeat: str) -> str:
    """What makes two campaigns twins: the same text to the same audience at the same rhythm (SHA-256, hex)."""
    return hashlib.sha256(json.dumps([text, audience.to_json(), repeat]).encode()).hexdigest()
