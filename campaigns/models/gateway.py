"""Gateways: connection, state shared by all workers, figures by hour, and the state of rate limits."""

from typing import ClassVar, Final

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from campaigns.gateways.definitions.presets import provider_label
from campaigns.gateways.drivers import DRIVERS
from campaigns.gateways.senders import recorded_words
from project.core.sealed_secrets import SecretField


class GatewayQuerySet(models.QuerySet["Gateway"]):
    """Queries for gateways."""

    def known(self) -> "GatewayQuerySet":
        """The settings' gateway, and those that administrators have added."""
        return self.filter(Q(name=settings.GATEWAY) | ~Q(kind=""))


# Changes of the secret are recorded where it is entered, without values: comparing would open it.
GATEWAY_RECORDED: Final = [
    *("name", "kind", "preset", "definition", "url", "username", "options"),
    *("concurrency", "rate", "carries", "senders", "active", "fallback"),
]


class Gateway(models.Model):
    """How to reach a gateway, and its state, which all workers share: circuit breaker and hold.

    For the settings' gateway, `kind` and the connection fields are empty. A gateway of the kind `http` has the name of
    a preset or a description of its own, `definition`. What the description asks for is in `options`, and its secrets
    are in `secret`, as JSON. `fallback` sends its messages while it is stopped. `carries` lists the areas whose numbers
    it takes (see `campaigns.gateways.areas`); empty: all. `senders` lists the sender names that it allows, as
    `Sender.to_json` returns them (see `campaigns.gateways.senders`).

    While `open_until` is set the circuit breaker is open: nothing is sent, except one probe at a time after that
    moment.
    """

    name = models.CharField(_("name"), primary_key=True, max_length=40)
    kind = models.CharField(_("type"), max_length=10, default="", db_default="", blank=True)
    preset = models.CharField(_("provider"), max_length=40, default="", db_default="", blank=True)
    definition = models.TextField(_("description"), default="", db_default="", blank=True)
    options = models.JSONField(_("account"), default=dict, db_default=models.Value({}, models.JSONField()), blank=True)
    url = models.CharField(_("address"), max_length=500, default="", db_default="", blank=True)
    username = models.CharField(_("user"), max_length=100, default="", db_default="", blank=True)
    secret = SecretField(_("token or password"), default="", db_default="", blank=True)
    concurrency = models.PositiveIntegerField(_("concurrent requests"), null=True, blank=True)
    rate = models.FloatField(_("speed limit, messages per second"), null=True, blank=True)
    carries = models.CharField(_("countries and prefixes"), max_length=1000, default="", db_default="", blank=True)
    senders = models.JSONField(
        _("sender names"), default=list, db_default=models.Value([], models.JSONField()), blank=True
    )
    prices_changed_at = models.DateTimeField(null=True, editable=False)
    active = models.BooleanField(_("active"), default=True, db_default=True)
    fallback = models.ForeignKey(
        "self", on_delete=models.PROTECT, related_name="+", verbose_name=_("fallback"), null=True, blank=True
    )
    failures = models.PositiveIntegerField(_("failures in a row"), default=0)
    opened_at = models.DateTimeField(_("sending paused since"), null=True)
    open_until = models.DateTimeField(_("next check"), null=True)
    failed_probes = models.PositiveIntegerField(_("failed checks in a row"), default=0, db_column="openings")
    alert = models.CharField(_("reason"), max_length=200, default="", blank=True)
    held_until = models.DateTimeField(_("held until"), null=True)

    objects = GatewayQuerySet.as_manager()

    VERSIONED: ClassVar = GATEWAY_RECORDED

    RECORDED_WORDS: ClassVar = {"senders": recorded_words}

    class Meta:
        verbose_name = _("gateway")
        verbose_name_plural = _("gateways")

    def __str__(self) -> str:
        return self.name

    @property
    def kind_label(self) -> str:
        """The label of its kind in the active language."""
        return provider_label(self.preset) if self.preset else gettext(DRIVERS[self.kind].label)

    @property
    def stopped(self) -> bool:
        """Whether the fallback sends its messages."""
        return self.open_until is not None or not self.active


class GatewayHour(models.Model):
    """The figures of one gateway in one hour (UTC): attempts by result, and receipts."""

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


class RateLimitState(models.Model):
    """The state of a rate limit of a gateway or campaign: the moment of the next permitted message."""

    key = models.CharField(primary_key=True, max_length=60)
    next_at = models.FloatField(help_text=_("seconds since the epoch"))

    class Meta:
        db_table = "campaigns_pace"

    def __str__(self) -> str:
        return self.key
