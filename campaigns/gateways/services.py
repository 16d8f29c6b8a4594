"""Operations on gateways, for administrators. A form has the new values and their rules."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q, Sum
from django.utils.translation import gettext as _

from accounts.audit_log import Change, record
from accounts.models import User
from accounts.optimistic_locking import check_version
from campaigns.gateways.forms import RouteForm
from campaigns.gateways.policies import check_may_manage_gateways
from campaigns.models import Campaign, Exchange, Gateway, GatewayHour, Message, Run
from project.core.clock import now
from project.http.errors import Conflict

log = structlog.get_logger("vestnik.campaigns")

_HIDDEN: Final = "•••"
_FIGURES: Final = ("sent", "failed", "retried", "delivered", "undelivered")


def known_gateways() -> list[Gateway]:
    """Return all gateways, the settings' gateway first; it may not have a row yet."""
    known = {row.name: row for row in Gateway.objects.known().order_by("name")}
    return list({settings.GATEWAY: Gateway(name=settings.GATEWAY), **known}.values())


def figures_of_day(gateways: Iterable[Gateway]) -> dict[str, dict[str, int]]:
    """Return the figures of the last 24 hours by gateway."""
    since = now() - timedelta(days=1)
    sums = GatewayHour.objects.filter(hour__gt=since).values("gateway").annotate(**{n: Sum(n) for n in _FIGURES})
    found: dict[str, dict[str, Any]] = {row["gateway"]: dict(row) for row in sums}
    return {row.name: {n: found.get(row.name, {}).get(n, 0) for n in _FIGURES} for row in gateways}


@transaction.atomic
def gateway_save(*, form: RouteForm, by: User, row: Gateway | None = None) -> Gateway:
    """Save a valid form of a new gateway, or of `row`. Raises `Stale` unless it has the version of the form."""
    check_may_manage_gateways(by)
    # The settings' gateway has no row before its first message, but may be chosen as a fallback from now on.
    Gateway.objects.get_or_create(name=settings.GATEWAY)
    if row is not None and not row._state.adding:
        check_version(Gateway.objects.select_for_update().get(pk=row.pk), form.opened)
    saved = form.save()
    if "active" in form.changed_data:
        log.warning("gateway switched on" if saved.active else "gateway switched off", gateway=saved.pk)
    if row is not None and form.secret_entered:
        record(Gateway, [saved.pk], by, {"secret": Change("", _HIDDEN)})
    return saved


@transaction.atomic
def gateway_delete(*, row: Gateway, by: User) -> None:
    """Delete a gateway with its prices. Raises Conflict if anything refers to it."""
    check_may_manage_gateways(by)
    if row.name == settings.GATEWAY:
        raise Conflict(_("This gateway is described by the settings and can’t be deleted."))
    Gateway.objects.select_for_update().filter(pk=row.pk).first()
    if Gateway.objects.filter(fallback=row.pk).exists():
        raise Conflict(_("This gateway is the fallback of another one."))
    # Messages are found by runs only, so the figures by hour stand for those that it has got.
    waiting = Message.objects.waiting().filter(Q(gateway=row.pk) | Q(route=row.pk), run__in=Run.objects.active())
    used = Campaign.objects.filter(gateway=row.pk), GatewayHour.objects.filter(gateway=row.pk), waiting
    if any(rows.exists() for rows in used):
        raise Conflict(_("Campaigns or messages refer to this gateway. Take it out of use instead."))
    Exchange.objects.filter(gateway=row.pk).delete()
    row.delete()
