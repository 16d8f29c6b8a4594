"""Operations on webhooks. Pages and API call these functions."""

import re
from collections.abc import Collection
from typing import Final

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import TextField
from django.db.models.functions import Cast
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import User
from accounts.webhooks.models import RETENTION, Delivery, DeliveryStatus, EventType, Webhook
from accounts.webhooks.targets import Refused, resolve
from accounts.webhooks.tasks import hint_deliver
from project.core.clock import now
from project.http.errors import Conflict

MAX_WEBHOOKS: Final = 20
_REFUSALS: Final = {
    "address": gettext_lazy("Enter a valid URL, for example https://example.org/hooks."),
    "https": gettext_lazy("Use an https:// address: webhook events contain personal data."),
    "private": gettext_lazy("This address belongs to a private network or to this server and is not allowed."),
}


def webhook_create(*, owner: User, url: str, events: Collection[str] = EventType.values) -> Webhook:
    """Create a webhook that receives those events. Raises ValidationError by field, and Conflict above the limit.

    A name that can't be resolved now is accepted, because it is resolved again for each delivery.
    """
    chosen = [event for event in EventType.values if event in events]
    errors = {}
    if not chosen:
        errors["events"] = _("Select at least one event.")
    try:
        resolve(url)
    except Refused as error:
        if str(error) != "dns":
            errors["url"] = str(_REFUSALS[str(error)])
    if errors:
        raise ValidationError(errors)
    with transaction.atomic():
        User.objects.select_for_update().get(pk=owner.pk)
        if owner.webhooks.count() >= MAX_WEBHOOKS:
            raise Conflict(_("You can have at most %(n)d webhooks. Delete one first.") % {"n": MAX_WEBHOOKS})
        return Webhook.objects.create(owner=owner, url=url, events=chosen)


def webhook_delete(*, webhook: Webhook, by: User) -> None:
    """Delete a webhook and its log of deliveries."""
    _check_owner(webhook, by)
    webhook.delete()


def webhook_enable(*, webhook: Webhook, by: User) -> None:
    """Enable a disabled webhook. Failed deliveries can be sent again one by one."""
    _check_owner(webhook, by)
    moment = now()
    Webhook.objects.filter(pk=webhook.pk).update(disabled_at=None, failures=0, held_until=moment)


def delivery_resend(*, delivery: Delivery, by: User) -> None:
    """Send a delivery again under the same id. Raises Conflict if it is pending or the webhook is disabled."""
    _check_owner(delivery.webhook, by)
    if delivery.webhook.disabled_at is not None:
        raise Conflict(_("The webhook is disabled. Turn it on first."))
    moment = now()
    ended = Delivery.objects.filter(pk=delivery.pk).exclude(status=DeliveryStatus.PENDING)
    if not ended.update(status=DeliveryStatus.PENDING, attempts=0, since=moment, next_at=moment):
        raise Conflict(_("This delivery is already in progress."))
    hint_deliver()


def erase_phone_from_events(phone: int, pattern: re.Pattern[str]) -> None:
    """Remove a phone from all stored events, and delete stored answers that match its pattern."""
    deliveries = Delivery.objects.annotate(events_text=Cast("events", TextField())).filter(
        events_text__contains=str(phone)
    )
    for delivery in deliveries.select_for_update(of=("self",)):
        for event in delivery.events:
            if event["data"].get("phone") == str(phone):
                event["data"]["phone"] = ""
        delivery.save(update_fields=["events"])
    answers = Delivery.objects.exclude(answer="").values_list("pk", "answer").iterator(1000)
    Delivery.objects.filter(pk__in=[pk for pk, answer in answers if pattern.search(answer)]).update(answer="")


def prune() -> None:
    """Delete deliveries that ended more than a week ago."""
    ended = Delivery.objects.exclude(status=DeliveryStatus.PENDING)
    ended.filter(created_at__lt=now() - RETENTION).delete()


def _check_owner(webhook: Webhook, by: User) -> None:
    if webhook.owner_id != by.pk:
        raise PermissionDenied(_("This webhook belongs to another user."))
