"""Report e-mails and their status; tallies of messages by hour, and their totals."""

from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from campaigns.models import Campaign
from project.core.clock import now
from project.core.sql import async_commit


class ReportFrequency(models.TextChoices):
    """How often a user gets a report."""

    DAILY = "daily", _("Daily")
    WEEKLY = "weekly", _("Weekly")


class ReportStatus(models.TextChoices):
    """The status of a report.

    `waiting` is due at `due_at`; `sending` is claimed by a worker; `skipped` was empty or is no longer wanted; `failed`
    used up its attempts; `unknown` may or may not have been accepted by the mail server.
    """

    WAITING = "waiting", _("Waiting")
    SENDING = "sending", _("Sending")
    SENT = "sent", _("Sent")
    SKIPPED = "skipped", _("No activity")
    FAILED = "failed", _("Failed")
    UNKNOWN = "unknown", _("Unknown")


class ReportQuerySet(models.QuerySet["Report"]):
    """Queries for reports."""

    def due(self) -> "ReportQuerySet":
        """Waiting reports that are due, the longest due first."""
        return self.filter(status=ReportStatus.WAITING, due_at__lte=now()).order_by("due_at", "pk")

    def abandoned(self) -> "ReportQuerySet":
        """Reports whose claim expired because their worker died."""
        return self.filter(status=ReportStatus.SENDING, claimed_until__lt=now())


class Report(models.Model):
    """The report of one day (`day`), or of the week that ends on it, to one user.

    A constraint allows only one. `attempts` is the fence: each claim increments it, and a worker writes only while the
    number is unchanged. `handed_at` is set just before the e-mail is sent.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="reports")
    frequency = models.CharField(
        _("frequency"),
        max_length=6,
        choices=ReportFrequency.choices,
        default=ReportFrequency.DAILY,
        db_column="rhythm",
    )
    day = models.DateField(_("last day"))
    status = models.CharField(_("status"), max_length=7, choices=ReportStatus.choices, default=ReportStatus.WAITING)
    due_at = models.DateTimeField(_("due"))
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    claimed_until = models.DateTimeField(null=True, editable=False)
    handed_at = models.DateTimeField(null=True, editable=False)
    changed_at = models.DateTimeField(_("last change"), default=now)
    last_error = models.CharField(_("last error"), max_length=200, default="", blank=True, db_column="trouble")

    objects = ReportQuerySet.as_manager()

    class Meta:
        verbose_name = _("report")
        verbose_name_plural = _("reports")
        constraints = [models.UniqueConstraint(fields=["user", "frequency", "day"], name="report_once")]
        indexes = [
            models.Index(
                fields=["due_at"],
                condition=models.Q(status__in=(ReportStatus.WAITING, ReportStatus.SENDING)),
                name="report_open",
            )
        ]

    def __str__(self) -> str:
        return f"{self.user_id} · {self.frequency} · {self.day}"

    def change(self, **values: Any) -> bool:
        """Update the report if this claim still holds; return whether it does."""
        claimed = Report.objects.filter(pk=self.pk, status=ReportStatus.SENDING, attempts=self.attempts)
        return bool(claimed.update(changed_at=now(), **values))

    @classmethod
    def claim(cls, pk: int, lifetime: timedelta) -> "Report | None":
        """Claim a due report; None if another worker has it."""
        due = cls.objects.due().filter(pk=pk)
        with async_commit():
            claimed = due.update(
                status=ReportStatus.SENDING,
                attempts=models.F("attempts") + 1,
                claimed_until=now() + lifetime,
                handed_at=None,
                changed_at=now(),
            )
        return cls.objects.select_related("user").get(pk=pk) if claimed else None


class Facet(models.TextChoices):
    """The dimensions by which messages are broken down."""

    WHOLE = "whole", _("All")
    OPERATOR = "operator", _("Operator code")
    COUNTRY = "country", _("Country")
    TIMEZONE = "timezone", _("Time zone")
    TAG = "tag", _("Tag")
    REASON = "reason", _("Reason")


class TallyColumns(models.Model):
    """Numbers of messages by status: the common columns of Tally and Total.

    The columns are signed, because a difference that is added to a total may be negative.
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


class Tally(TallyColumns):
    """Numbers of messages of one run that ended within one hour (UTC), in total or for one value of a facet.

    `value` is an operator code, country, time zone, tag or reason; empty if there is none. A message with several tags
    counts for each. Reasons include only messages that were not accepted or not delivered. `attempts`, and `tries`,
    which are the failed ones, count in the hour when they ended, and not for tags. Pending messages do not count.

    `run` is not a foreign key, so the figures stay when the run and its messages are removed.
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
"""The owner id of the totals over all owners."""


class Total(TallyColumns):
    """Tallies added up over all runs of one owner, or of `EVERYONE`: the whole by hour, facets by day (UTC).

    They are updated by the difference, in the transaction that changes the tallies. So the cost of a report of a year
    does not grow with the number of runs.
    """

    owner = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["owner", "facet", "hour", "value"], name="total_once")]


class CountState(models.Model):
    """The state of a run's counters that its tallies represent; they are up to date while `mark` equals the run's.

    `added` means that they are included in the totals. `draft` is an unfinished count, as JSON of `TallyBuilder`.
    """

    run = models.BigIntegerField(primary_key=True)
    mark = models.CharField(max_length=130)
    counted_at = models.DateTimeField()
    next_count_at = models.DateTimeField(db_column="again_at")
    """An active large run is not counted again before this."""
    added = models.BooleanField(default=False, db_default=False)
    draft = models.JSONField(null=True)

    class Meta:
        db_table = "reports_counted"

    def __str__(self) -> str:
        return f"{self.run}"
