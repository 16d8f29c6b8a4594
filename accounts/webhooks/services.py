"""What users do with webhooks; pages and API both come here."""

from collections.abc import Collection
from typing import Final

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import TextField
from django.db.models.functions import Cast
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import User
from accounts.webhooks.models import KEPT, Delivery, DeliveryStatus, EventType, Webhook
from accounts.webhooks.targets import Refused, resolve
from accounts.webhooks.tasks import hint_deliver
from project.clock import now
from project.http import Conflict

MAX_WEBHOOKS: Final = 20
_REFUSALS: Final = {
    "address": gettext_lazy("Not a web address that can be posted to, like https://example.org/hooks."),
    "https": gettext_lazy("Only https:// addresses, for what is told is nobody else’s business."),
    "private": gettext_lazy("This address lies in a private network or on this machine, which is not allowed."),
}


def webhook_create(*, owner: User, url: str, events: Collection[str] = EventType.values) -> Webhook:
    """Have `url` told of those events from now on. ValidationError by field; Conflict when there are too many.

    A name that can't be resolved at this moment is taken: it is looked up again for each delivery.
    """
    chosen = [event for event in EventType.values if event in events]
    errors = {}
    if not chosen:
        errors["events"] = _("Choose what it is to be told of.")
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
            raise Conflict(_("A user has at most %(n)d webhooks. Delete one first.") % {"n": MAX_WEBHOOKS})
        return Webhook.objects.create(owner=owner, url=url, events=chosen)


def webhook_delete(*, webhook: Webhook, by: User) -> None:
    """Tell it nothing more, and forget what it was told."""
    _check_owner(webhook, by)
    webhook.delete()


def webhook_enable(*, webhook: Webhook, by: User) -> None:
    """Tell a disabled one of what happens from now on; what it has missed can be sent again one by one."""
    _check_owner(webhook, by)
    moment = now()
    Webhook.objects.filter(pk=webhook.pk).update(disabled_at=None, failures=0, held_until=moment)


def delivery_resend(*, delivery: Delivery, by: User) -> None:
    """Deliver once more, as if for the first time but under the same id. Conflict while it waits, or is disabled."""
    _check_owner(delivery.webhook, by)
    if delivery.webhook.disabled_at is not None:
        raise Conflict(_("The webhook is disabled. Turn it on first."))
    moment = now()
    ended = Delivery.objects.filter(pk=delivery.pk).exclude(status=DeliveryStatus.PENDING)
    if not ended.update(status=DeliveryStatus.PENDING, attempts=0, since=moment, next_at=moment):
        raise Conflict(_("It is on its way already."))
    hint_deliver()


def forget_events(phone: int) -> None:
    """Take a phone out of all that was told, or waits to be."""
    told = Delivery.objects.annotate(written=Cast("events", TextField())).filter(written__contains=str(phone))
    for delivery in told.select_for_update(of=("self",)):
        for event in delivery.events:
            if event["data"].get("phone") == str(phone):
                event["data"]["phone"] = ""
        delivery.save(update_fields=["events"])


def prune() -> None:
    """Forget deliveries that came to their end a week ago."""
    ended = Delivery.objects.exclude(status=DeliveryStatus.PENDING)
    ended.filter(created_at__lt=now() - KEPT).delete()


def _check_owner(webhook: Webhook, by: User) -> None:
    if webhook.owner_id != by.pk:
        raise PermissionDenied(_("This is another user's webhook."))
