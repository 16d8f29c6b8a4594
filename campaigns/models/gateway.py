"""How to reach a gateway, the state of it that all workers share, its figures by hour, and the pace of what leaves."""

from typing import Final

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from project.vault import SecretField


class Kind(models.TextChoices):
    """The languages that a gateway may speak."""

    PROBE = "probe", _("JSON over HTTP")
    KANNEL = "kannel", "Kannel"


class GatewayQuerySet(models.QuerySet["Gateway"]):
    """Gateways by what can be asked of them."""

    def known(self) -> "GatewayQuerySet":
        """The one that the settings name, and those that administrators have added."""
        return self.filter(Q(name=settings.GATEWAY) | ~Q(kind=""))


# The secret is recorded by who enters it, and never told: to compare it would be to open it.
GATEWAY_RECORDED: Final = ["name", "kind", "url", "username", "concurrency", "rate", "active", "fallback"]


class Gateway(models.Model):
    """How to reach one gateway, and the state of it that all workers share: its breaker and its hold.

    Where the settings describe it, `kind` is empty, and so is the rest of how to reach it. `fallback` gets its messages
    while it is stopped.

    `open_until` set means the breaker is open and nothing leaves, save one probe at a time after that moment.
    """

    name = models.CharField(_("name"), primary_key=True, max_length=40)
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices, default="", db_default="", blank=True)
    url = models.CharField(_("address"), max_length=500, default="", db_default="", blank=True)
    username = models.CharField(_("user"), max_length=100, default="", db_default="", blank=True)
    secret = SecretField(_("token or password"), default="", db_default="", blank=True)
    concurrency = models.PositiveIntegerField(_("requests at a time"), null=True, blank=True)
    rate = models.FloatField(_("messages per second at most"), null=True, blank=True)
    active = models.BooleanField(_("active"), default=True, db_default=True)
    fallback = models.ForeignKey(
        "self", on_delete=models.PROTECT, related_name="+", verbose_name=_("fallback"), null=True, blank=True
    )
    failures = models.PositiveIntegerField(_("failures in a row"), default=0)
    opened_at = models.DateTimeField(_("stopped since"), null=True)
    open_until = models.DateTimeField(_("next probe"), null=True)
    openings = models.PositiveIntegerField(_("failed probes in a row"), default=0)
    alert = models.CharField(_("alert"), max_length=200, default="", blank=True)
    held_until = models.DateTimeField(_("held until"), null=True)

    objects = GatewayQuerySet.as_manager()

    class Meta:
        verbose_name = _("gateway")
        verbose_name_plural = _("gateways")

    def __str__(self) -> str:
        return self.name

    @property
    def stopped(self) -> bool:
        """Whether its messages are the fallback's to send."""
        return self.open_until is not None or not self.active


class GatewayHour(models.Model):
    """What one gateway did in one hour (UTC): attempts by how they ended, and receipts."""

    gateway = models.CharField(max_length=40)
    hour = models.DateTimeField()
    sent = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    retried = models.PositiveIntegerField(default=0)
    delivered = models.PositiveIntegerField(default=0)
    undelivered = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["gateway", "hour"], name="gateway_hour")]

    def __str__(self) -> str:
        return f"{self.gateway} · {self.hour:%d %H}"


class Pace(models.Model):
    """When the next message may leave, for one gateway or one campaign: the whole state of a rate limit."""

    key = models.CharField(primary_key=True, max_length=60)
    next_at = models.FloatField(help_text=_("seconds since the epoch"))

    def __str__(self) -> str:
        return self.key
