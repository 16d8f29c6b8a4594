"""Report: one e-mail and what became of it. Tally: what became of a run's messages, hour by hour."""

from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from campaigns.models import Campaign
from project.clock import now
from project.sql import unhurried


class Rhythm(models.TextChoices):
    """How often a report comes."""

    DAILY = "daily", _("Daily")
    WEEKLY = "weekly", _("Weekly")


class ReportStatus(models.TextChoices):
    """Where a report stands.

    `waiting` is due at `due_at`; `sending` is claimed by a worker; `skipped` had nothing to tell, or is not wanted any
    more; `failed` used up its attempts; `unknown` may have been accepted by the mail server, and nobody can tell.
    """

    WAITING = "waiting", _("Waiting")
    SENDING = "sending", _("Sending")
    SENT = "sent", _("Sent")
    SKIPPED = "skipped", _("Nothing to tell")
    FAILED = "failed", _("Failed")
    UNKNOWN = "unknown", _("Unknown")


class ReportQuerySet(models.QuerySet["Report"]):
    """Reports by what can be asked of them."""

    def due(self) -> "ReportQuerySet":
        """Those that wait and whose time has come, the longest due first."""
        return self.filter(status=ReportStatus.WAITING, due_at__lte=now()).order_by("due_at", "pk")

    def abandoned(self) -> "ReportQuerySet":
        """Those whose worker has not come back."""
        return self.filter(status=ReportStatus.SENDING, claimed_until__lt=now())


class Report(models.Model):
    """What one user is told of one day (`day`), or of the week that ends with it.

    The constraint makes it one, whoever asks for it how often. `attempts` is the fence: each claim counts one on, and a
    worker writes only while the number is its own. `handed_at` is set just before the mail itself goes out.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="reports")
    rhythm = models.CharField(_("rhythm"), max_length=6, choices=Rhythm.choices, default=Rhythm.DAILY)
    day = models.DateField(_("last day"))
    status = models.CharField(_("state"), max_length=7, choices=ReportStatus.choices, default=ReportStatus.WAITING)
    due_at = models.DateTimeField(_("due"))
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    claimed_until = models.DateTimeField(null=True, editable=False)
    handed_at = models.DateTimeField(null=True, editable=False)
    changed_at = models.DateTimeField(_("last change"), default=now)
    trouble = models.CharField(_("last error"), max_length=200, default="", blank=True)

    objects = ReportQuerySet.as_manager()

    class Meta:
        verbose_name = _("report")
        verbose_name_plural = _("reports")
        constraints = [models.UniqueConstraint(fields=["user", "rhythm", "day"], name="report_once")]
        indexes = [
            models.Index(
                fields=["due_at"],
                condition=models.Q(status__in=(ReportStatus.WAITING, ReportStatus.SENDING)),
                name="report_open",
            )
        ]

    def __str__(self) -> str:
        return f"{self.user_id} · {self.rhythm} · {self.day}"

    def change(self, **values: Any) -> bool:
        """Write, if the claim is still ours; return whether it is."""
        mine = Report.objects.filter(pk=self.pk, status=ReportStatus.SENDING, attempts=self.attempts)
        return bool(mine.update(changed_at=now(), **values))

    @classmethod
    def claim(cls, pk: int, lasting: timedelta) -> "Report | None":
        """Take a report that is due, so that nobody else does; None if somebody has."""
        due = cls.objects.due().filter(pk=pk)
        with unhurried():
            taken = due.update(
                status=ReportStatus.SENDING,
                attempts=models.F("attempts") + 1,
                claimed_until=now() + lasting,
                handed_at=None,
                changed_at=now(),
            )
        return cls.objects.select_related("user").get(pk=pk) if taken else None


class Facet(models.TextChoices):
    """What messages are told apart by."""

    WHOLE = "whole", _("All")
    OPERATOR = "operator", _("Operator code")
    TIMEZONE = "timezone", _("Time zone")
    TAG = "tag", _("Tag")
    REASON = "reason", _("Reason")


class Numbers(models.Model):
    """How many messages came to stand where they do: a Tally's and a Total's columns.

    A difference may be negative while it is on its way into a total, so the columns must bear it.
    """

    hour = models.DateTimeField()
    facet = models.CharField(max_length=8, choices=Facet.choices)
    value = models.CharField(max_length=64, blank=True)
    sent = models.IntegerField(default=0)
    delivered = models.IntegerField(default=0)
    undelivered = models.IntegerField(default=0)
    failed = models.IntegerField(default=0)
    expired = models.IntegerField(default=0)
    cancelled = models.IntegerField(default=0)
    unknown = models.IntegerField(default=0)
    parts = models.IntegerField(default=0)
    attempts = models.IntegerField(default=0)
    tries = models.IntegerField(default=0)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H} · {self.facet} {self.value}"


class Tally(Numbers):
    """How many messages of one run came to stand where they do within one hour (UTC), as a whole or of one facet.

    `value` is what the facet tells apart: an operator code, a time zone, a tag, a reason; empty where there is none. A
    message with several tags counts for each. Under a reason count only those that were not accepted, or not delivered.
    `attempts` and `tries`, those of them that failed, count in the hour when they ended, and for no tag. Messages that
    still wait count nowhere.

    `run` is no foreign key: the figures stay when the run and its messages are removed.
    """

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="tallies", db_index=False)
    run = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "facet", "hour", "value"], name="tally_once")]
        indexes = [
            models.Index(fields=["campaign", "hour"], name="tally_campaign"),
            models.Index(fields=["facet", "hour"], name="tally_hour"),
        ]


EVERYONE: Final = 0
"""The owner of the totals over all owners."""


class Total(Numbers):
    """Tallies added up over all runs of one owner, or of `EVERYONE`: the whole by hour, facets by day (UTC).

    They change in the transaction in which the tallies do, by the difference. So what a report of a year reads does not
    grow with the number of runs.
    """

    owner = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["owner", "facet", "hour", "value"], name="total_once")]


class Counted(models.Model):
    """Which state of a run's counters its tallies tell; they are true while `mark` is that of the run.

    `added` says that they are in the totals. `draft` is what has been counted anew so far, as `Draft` keeps it.
    """

    run = models.BigIntegerField(primary_key=True)
    mark = models.CharField(max_length=130)
    counted_at = models.DateTimeField()
    again_at = models.DateTimeField()
    """A large run that goes on changing is not counted anew before."""
    added = models.BooleanField(default=False, db_default=False)
    draft = models.JSONField(null=True)

    def __str__(self) -> str:
        return f"{self.run}"
