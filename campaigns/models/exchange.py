"""The log of exchanges with gateways."""

from typing import Final

from django.db import models
from django.utils.translation import gettext_lazy as _


class Exchange(models.Model):
    """A request to a gateway and its answer, or a callback and how it was understood.

    It contains no secret, no text, and of phones the last two digits. It is kept for a day.
    """

    class Direction(models.TextChoices):
        """Who has sent the request."""

        OUT = "out", _("To the gateway")
        IN = "in", _("From the gateway")

    class Verdict(models.TextChoices):
        """What the answer means for a message, or whether a callback was understood."""

        SENT = "sent", _("Accepted")
        RETRY = "retry", _("Not accepted, is tried again")
        REFUSED = "refused", _("Refused")
        HELD = "held", _("Must wait")
        UNAUTHORISED = "unauthorised", _("Stopped until a person acts")
        UNCERTAIN = "uncertain", _("May have been accepted")
        CHECKED = "checked", _("Connection works")
        FAILED = "failed", _("Connection does not work")
        READ = "read", _("Understood")
        UNREAD = "unread", _("Not understood")

    gateway = models.CharField(max_length=40)
    at = models.DateTimeField()
    direction = models.CharField(max_length=3, choices=Direction, default=Direction.OUT, db_default="out")
    message_id = models.BigIntegerField(null=True)
    method = models.CharField(max_length=10)
    url = models.TextField()
    request = models.TextField(default="", db_default="")
    status = models.PositiveSmallIntegerField(null=True)
    failure = models.CharField(max_length=20, default="", db_default="")
    answer = models.TextField(default="", db_default="")
    verdict = models.CharField(max_length=12, choices=Verdict)
    reason = models.CharField(max_length=60, default="", db_default="")
    duration_ms = models.PositiveIntegerField(null=True)

    class Meta:
        indexes = [models.Index(fields=["gateway", "-id"], name="exchange_latest")]

    def __str__(self) -> str:
        return f"{self.gateway} · {self.at:%H:%M:%S}"

    @property
    def tone(self) -> str:
        """The colour of its verdict."""
        return tone_of(self.Verdict(self.verdict))


_TONES: Final = {
    Exchange.Verdict.SENT: "good",
    Exchange.Verdict.CHECKED: "good",
    Exchange.Verdict.READ: "good",
    Exchange.Verdict.RETRY: "warn",
    Exchange.Verdict.HELD: "warn",
    Exchange.Verdict.UNCERTAIN: "warn",
}


def tone_of(verdict: Exchange.Verdict) -> str:
    """Return the colour of a verdict."""
    return _TONES.get(verdict, "bad")
