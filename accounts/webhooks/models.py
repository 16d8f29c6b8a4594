"""Webhook (an address and its events) and Delivery (a batch of events, pending or in the log)."""

import base64
import secrets
import uuid
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.db import models, transaction
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from accounts.webhooks.wording import reason_words
from project.core.clock import now
from project.core.sealed_secrets import SecretField

MAX_EVENTS: Final = 1000
"""The limit of one delivery."""
RETENTION: Final = timedelta(days=7)
LEASE: Final = timedelta(seconds=60)


class EventType(models.TextChoices):
    """The types of events. An event of a message is named after its new state."""

    MESSAGE_SENT = "message.sent", _("Message accepted by the gateway")
    MESSAGE_DELIVERED = "message.delivered", _("Message delivered")
    MESSAGE_UNDELIVERED = "message.undelivered", _("Message not delivered")
    MESSAGE_FAILED = "message.failed", _("Message failed")
    MESSAGE_EXPIRED = "message.expired", _("Message expired")
    MESSAGE_CANCELLED = "message.cancelled", _("Message cancelled")
    MESSAGE_UNKNOWN = "message.unknown", _("Message status unknown")
    CAMPAIGN_STARTED = "campaign.started", _("Campaign started")
    CAMPAIGN_FINISHED = "campaign.finished", _("Campaign finished")


class DeliveryStatus(models.TextChoices):
    """`pending` waits for its first or next attempt. `failed` is given up."""

    PENDING = "pending", _("Waiting")
    DELIVERED = "delivered", _("Delivered")
    FAILED = "failed", _("Failed")


def new_secret() -> str:
    """Return 192 random bits in the format of Standard Webhooks."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}"


def new_uid() -> str:
    """Return an id by which the receiver recognises repeats."""
    return f"msg_{uuid.uuid4().hex}"


class WebhookQuerySet(models.QuerySet["Webhook"]):
    """Selections of webhooks."""

    def active(self) -> "WebhookQuerySet":
        """Return webhooks that receive events."""
        return self.filter(disabled_at=None)

    def disable(self) -> int:
        """Disable the webhooks, fail their pending deliveries, and return how many were active."""
        with transaction.atomic():
            ids = list(self.active().select_for_update().values_list("pk", flat=True))
            Delivery.objects.waiting().filter(webhook__in=ids).update(status=DeliveryStatus.FAILED)
            return Webhook.objects.filter(pk__in=ids).update(disabled_at=now())

    def due(self) -> "WebhookQuerySet":
        """Return webhooks that have a due delivery and that no dispatcher serves."""
        moment = now()
        waiting = Delivery.objects.due().filter(webhook=OuterRef("pk"))
        return self.active().filter(Exists(waiting), busy_until__lte=moment, held_until__lte=moment)


class Webhook(models.Model):
    """A user's address to which chosen events are posted.

    `busy_until` is the lease of the thread that serves it. After a failure, nothing is sent until `held_until`.
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
        """Take the lease, and return whether it was free."""
        moment = now()
        free = Webhook.objects.active().filter(pk=self.pk, busy_until__lte=moment)
        return free.update(busy_until=moment + LEASE) > 0

    def release(self) -> None:
        """Return the lease."""
        Webhook.objects.filter(pk=self.pk).update(busy_until=now())

    def add_events(self, events: Iterable[dict[str, Any]]) -> None:
        """Store deliveries of those events that the webhook subscribes to."""
        wanted = [event for event in events if event["type"] in self.events]
        batches = (wanted[start : start + MAX_EVENTS] for start in range(0, len(wanted), MAX_EVENTS))
        Delivery.objects.bulk_create(Delivery(webhook=self, events=batch, number=len(batch)) for batch in batches)


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    """Selections of deliveries."""

    def waiting(self) -> "DeliveryQuerySet":
        """Return pending deliveries."""
        return self.filter(status=DeliveryStatus.PENDING)

    def due(self) -> "DeliveryQuerySet":
        """Return deliveries that are due, the longest due first."""
        return self.waiting().filter(next_at__lte=now()).order_by("next_at", "pk")

    def untried(self) -> "DeliveryQuerySet":
        """Return deliveries without an attempt, whose events may be merged."""
        return self.waiting().filter(attempted_at=None).order_by("pk")


class Delivery(models.Model):
    """Up to `MAX_EVENTS` events for one webhook, and the result of the latest attempt.

    Attempts repeat for a day from `since`, which is reset when a user sends the delivery again.
    """

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    uid = models.CharField(max_length=40, default=new_uid, unique=True)
    events = models.JSONField()
    number = models.PositiveIntegerField(_("events"))
    status = models.CharField(_("status"), max_length=9, choices=DeliveryStatus.choices, default=DeliveryStatus.PENDING)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    created_at = models.DateTimeField(default=now, db_index=True)
    since = models.DateTimeField(default=now)
    next_at = models.DateTimeField(default=now)
    attempted_at = models.DateTimeField(_("last attempt"), null=True)
    http_status = models.PositiveSmallIntegerField(null=True)
    reason = models.CharField(_("reason"), max_length=40, default="", blank=True)
    answer = models.CharField(_("response"), max_length=500, default="", blank=True)
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
        """A sentence that says why the latest attempt failed."""
        return reason_words(self.reason)
