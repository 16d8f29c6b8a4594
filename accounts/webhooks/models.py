"""Webhook (where to, and what about) and Delivery (a batch of events, on its way or in the log)."""

import base64
import secrets
import uuid
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from accounts.webhooks.wording import reason_words
from project.clock import now
from project.vault import SecretField

MAX_EVENTS: Final = 1000
"""In one delivery."""
KEPT: Final = timedelta(days=7)
LEASE: Final = timedelta(seconds=60)


class EventType(models.TextChoices):
    """What can happen. A message's events are named after the state that it has come to."""

    MESSAGE_SENT = "message.sent", _("Message accepted by the gateway")
    MESSAGE_DELIVERED = "message.delivered", _("Message delivered")
    MESSAGE_UNDELIVERED = "message.undelivered", _("Message not delivered")
    MESSAGE_FAILED = "message.failed", _("Message failed")
    MESSAGE_EXPIRED = "message.expired", _("Message expired")
    MESSAGE_CANCELLED = "message.cancelled", _("Message cancelled")
    MESSAGE_UNKNOWN = "message.unknown", _("Message’s fate unknown")
    CAMPAIGN_STARTED = "campaign.started", _("Campaign started")
    CAMPAIGN_FINISHED = "campaign.finished", _("Campaign finished")


class DeliveryStatus(models.TextChoices):
    """`pending` waits for its first or next attempt; `failed` was given up."""

    PENDING = "pending", _("Waiting")
    DELIVERED = "delivered", _("Delivered")
    FAILED = "failed", _("Failed")


def new_secret() -> str:
    """192 random bits in the form of the Standard Webhooks scheme."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}"


def new_uid() -> str:
    """What the receiver tells repeats by."""
    return f"msg_{uuid.uuid4().hex}"


class WebhookQuerySet(models.QuerySet["Webhook"]):
    """Webhooks by what can be asked of them."""

    def active(self) -> "WebhookQuerySet":
        """Those that are told of events."""
        return self.filter(disabled_at=None)

    def due(self) -> "WebhookQuerySet":
        """Those that nobody delivers to, and that something may be delivered to now."""
        moment = now()
        waiting = Delivery.objects.due().filter(webhook=OuterRef("pk"))
        return self.active().filter(Exists(waiting), busy_until__lte=moment, held_until__lte=moment)


class Webhook(models.Model):
    """A user's address that chosen events are posted to.

    `busy_until` is the lease of whoever delivers to it now; until `held_until` it is left alone after a failure.
    """

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="webhooks")
    url = models.URLField(_("address"), max_length=2000)
    events = models.JSONField(_("events"), default=list)
    secret = SecretField(default=new_secret, editable=False)
    failures = models.PositiveIntegerField(_("failures in a row"), default=0)
    held_until = models.DateTimeField(default=now)
    busy_until = models.DateTimeField(default=now)
    disabled_at = models.DateTimeField(_("disabled"), null=True)
    created_at = models.DateTimeField(_("added"), default=now)

    objects = WebhookQuerySet.as_manager()

    class Meta:
        verbose_name = _("webhook")
        verbose_name_plural = _("webhooks")

    def __str__(self) -> str:
        return self.url

    def claim(self) -> bool:
        """Take the lease, and return whether nobody has it."""
        moment = now()
        free = Webhook.objects.active().filter(pk=self.pk, busy_until__lte=moment)
        return free.update(busy_until=moment + LEASE) > 0

    def release(self) -> None:
        """Give the lease back."""
        Webhook.objects.filter(pk=self.pk).update(busy_until=now())

    def tell(self, events: Iterable[dict[str, Any]]) -> None:
        """Leave those of the events that the webhook is for, to be delivered."""
        wanted = [event for event in events if event["type"] in self.events]
        batches = (wanted[start : start + MAX_EVENTS] for start in range(0, len(wanted), MAX_EVENTS))
        Delivery.objects.bulk_create(Delivery(webhook=self, events=batch, number=len(batch)) for batch in batches)


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    """Deliveries by what can be asked of them."""

    def waiting(self) -> "DeliveryQuerySet":
        """Those that are to be delivered."""
        return self.filter(status=DeliveryStatus.PENDING)

    def due(self) -> "DeliveryQuerySet":
        """Those whose time has come, the longest due first."""
        return self.waiting().filter(next_at__lte=now()).order_by("next_at", "pk")

    def untried(self) -> "DeliveryQuerySet":
        """Those that nobody has seen yet, so that their events may still be gathered into one."""
        return self.waiting().filter(attempted_at=None).order_by("pk")


class Delivery(models.Model):
    """Up to `MAX_EVENTS` events of one webhook, and what came of the latest attempt to deliver them.

    Attempts are repeated for a day from `since`, which is anew when a person sends it again.
    """

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    uid = models.CharField(max_length=40, default=new_uid, unique=True)
    events = models.JSONField()
    number = models.PositiveIntegerField(_("events"))
    status = models.CharField(_("state"), max_length=9, choices=DeliveryStatus.choices, default=DeliveryStatus.PENDING)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    created_at = models.DateTimeField(default=now, db_index=True)
    since = models.DateTimeField(default=now)
    next_at = models.DateTimeField(default=now)
    attempted_at = models.DateTimeField(_("last attempt"), null=True)
    http_status = models.PositiveSmallIntegerField(null=True)
    reason = models.CharField(_("reason"), max_length=40, default="", blank=True)
    answer = models.CharField(_("answer"), max_length=500, default="", blank=True)
    duration_ms = models.PositiveIntegerField(default=0)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        indexes = [
            models.Index(
                fields=["webhook", "next_at", "id"],
                condition=Q(status=DeliveryStatus.PENDING),
                name="delivery_waiting",
            ),
            models.Index(fields=["webhook", "id"], name="delivery_listed"),
        ]

    def __str__(self) -> str:
        return self.uid

    @property
    def reason_words(self) -> str:
        """Why the latest attempt failed."""
        return reason_words(self.reason)
