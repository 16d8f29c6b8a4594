"""The gateways as they are set up: the adapter, the limits and the route of each, and where its receipts come to.

One is described by the settings; administrators may add others, which are rows of `Gateway`.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.signing import BadSignature, Signer
from django.db.models import Q
from django.http import Http404
from django.utils.translation import gettext as _

from campaigns.gateways.base import Adapter
from campaigns.gateways.console import Console
from campaigns.gateways.kannel import Kannel
from campaigns.gateways.probe import Probe
from campaigns.models import Campaign, Gateway
from campaigns.routing import Route

ADAPTERS: Final[dict[str, Callable[[str, str, str], Adapter]]] = {
    "probe": lambda name, url, secret: Probe(url, secret, name=name),
    "kannel": lambda name, url, secret: Kannel(url, *_user_of(secret), callback_address(name), name=name),
    "console": lambda name, _url, _secret: Console(name=name),
}
"""By kind, what makes an adapter of a gateway's name, address and secret."""


class Limits(NamedTuple):
    """What a gateway bears: requests in flight for each slice, and messages per second over all of them."""

    concurrency: int
    rate: float | None


def adapter(name: str | None = None) -> Adapter:
    """That of the gateway of this name, or else of the settings. Http404 if there is none; `vault.Locked`."""
    if name is None or name == settings.GATEWAY:
        return ADAPTERS[settings.GATEWAY](settings.GATEWAY, settings.GATEWAY_URL, settings.GATEWAY_TOKEN)
    row = _added(name)
    if row is None:
        raise Http404
    return adapter_of(row)


def adapter_of(row: Gateway) -> Adapter:
    """That of a gateway which the settings do not describe."""
    secret = f"{row.username}:{row.secret}" if row.username else row.secret
    return ADAPTERS[row.kind](row.name, row.url, secret)


def limits(name: str) -> Limits:
    """As an administrator has set them, or else the settings; one that was added has no rate but its own."""
    row = Gateway.objects.filter(name=name).first() or Gateway(name=name)
    rate = row.rate if row.kind else settings.GATEWAY_RATE
    return Limits(row.concurrency or settings.GATEWAY_CONCURRENCY, rate)


def chosen(name: str | None) -> Gateway | None:
    """The gateway that goes by this name, or None for that of the settings; ValidationError if there is none."""
    if name is None or name == settings.GATEWAY:
        return None
    row = _added(name)
    if row is None:
        raise ValidationError({"gateway": _("There is no such gateway.")})
    return row


def working() -> list[str]:
    """The names of those that messages may leave by, the one of the settings first.

    In one order for everyone: a transaction that leaves a hint for each locks them one after another.
    """
    rows = {row.name: row.active for row in Gateway.objects.known().order_by("name")}
    return [name for name, active in {settings.GATEWAY: True, **rows}.items() if active]


def route_of(name: str) -> Route:
    """What it may carry now."""
    rows = list(Gateway.objects.known().defer("secret"))
    if not any(row.kind for row in rows):
        return Route(name)
    relieved = {row.name: row.stopped for row in rows if row.fallback_id == name}
    homes = {name, *(other for other, stopped in relieved.items() if stopped)}
    guests = {other for other, stopped in relieved.items() if not stopped}
    return Route(name, sole=False, homes=frozenset(homes), guests=frozenset(guests))


def takes_repeats(name: str | None) -> bool:
    """Whether the same message again is the same message to that gateway; to one that is gone it may not be."""
    if name is None or name == settings.GATEWAY:
        return _idempotent(settings.GATEWAY)
    return _idempotent(Gateway.objects.filter(name=name).values_list("kind", flat=True).first())


def campaign_takes_repeats(campaign: Campaign) -> bool:
    """The same of every gateway that a campaign's messages may leave by; one query."""
    home = campaign.gateway_id or settings.GATEWAY
    fallback = Gateway.objects.filter(name=home).values("fallback")
    kinds = dict(Gateway.objects.filter(Q(name=home) | Q(name__in=fallback)).values_list("name", "kind"))
    if settings.GATEWAY in {home, *kinds}:
        kinds[settings.GATEWAY] = settings.GATEWAY
    return home in kinds and all(map(_idempotent, kinds.values()))


def _idempotent(kind: str | None) -> bool:
    return any(language.kind == kind and language.idempotent for language in (Probe, Kannel, Console))


def callback_address(name: str) -> str:
    """Where the gateway has to send its receipts, with the key that it shows; a secret."""
    return f"{settings.PUBLIC_URL}/api/v1/callbacks/{name}?key={_keys().signature(name)}"


def key_fits(name: str, key: str) -> bool:
    """Whether whoever shows this key is the gateway, compared in constant time; keys of an earlier SECRET_KEY fit."""
    try:
        _keys().unsign(f"{name}:{key}")
    except BadSignature:
        return False
    return True


def _added(name: str) -> Gateway | None:
    """One that an administrator has added."""
    return Gateway.objects.exclude(kind="").filter(name=name).first()


def _keys() -> Signer:
    return Signer(salt="campaigns.callbacks")


def _user_of(secret: str) -> tuple[str, str]:
    """`user:password`."""
    username, _, password = secret.partition(":")
    return username, password
