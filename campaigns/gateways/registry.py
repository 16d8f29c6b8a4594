"""The gateways of this installation: the driver, limits and route of each, and the address for its receipts.

The settings describe one. Administrators may add others, which are rows of `Gateway`.
"""

import json
from typing import Final, NamedTuple

import structlog
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.signing import BadSignature, Signer
from django.db.models import Q
from django.http import Http404
from django.utils.translation import gettext as _

from campaigns.gateways import areas
from campaigns.gateways.coverage import Coverage, coverage_of
from campaigns.gateways.definitions.presets import definition_from, preset_texts
from campaigns.gateways.definitions.schema import Definition, InvalidDefinition
from campaigns.gateways.drivers import DRIVERS
from campaigns.gateways.masking import spellings_of_secrets
from campaigns.gateways.protocol import Connection, Driver
from campaigns.gateways.routing import Route
from campaigns.gateways.senders import Senders
from campaigns.models import Campaign, Gateway
from campaigns.prices.tariff import present_tariff_of
from campaigns.wording import area_words

_NAMES_SHOWN: Final = 10


log = structlog.get_logger("vestnik.campaigns")


class Limits(NamedTuple):
    """The limits of a gateway: requests in flight per send session, and messages per second in total."""

    concurrency: int
    rate: float | None


class Traits(NamedTuple):
    """What a gateway can do: by its kind, or by its description."""

    idempotent: bool = False
    max_parts: int | None = None
    has_senders: bool = False


def driver(name: str | None = None) -> Driver:
    """Return the driver of that gateway; without a name, of the settings' gateway.

    Raises Http404 if there is none or its description can't be used any more, and `sealed_secrets.Locked`.
    """
    kind, connection = connection_of(name or settings.GATEWAY)
    found = kind.connect(connection)
    found.secrets = spellings_of_secrets(connection, found)
    return found


def connection_of(name: str) -> tuple[type[Driver], Connection]:
    """Return the kind of that gateway's driver, and how it reaches the gateway. Raises as `driver` does."""
    if name == settings.GATEWAY:
        return _of_settings()
    row = _added(name)
    if row is None:
        raise Http404
    try:
        return _of_row(row)
    except InvalidDefinition as error:
        log.error("gateway has no usable description", gateway=name)  # noqa: TRY400 — it may contain secrets
        raise Http404 from error


def _of_row(row: Gateway) -> tuple[type[Driver], Connection]:
    definition = definition_of(row)
    fields = {**row.options, **_usable_secrets(row, definition)} if definition else {}
    secret, address = "" if definition else row.secret, callback_address(row.name)
    return DRIVERS[row.kind], Connection(row.name, row.url, row.username, secret, address, definition, fields)


def _usable_secrets(row: Gateway, definition: Definition) -> dict[str, str]:
    """The secrets of fields that are still secret: the others would be shown, so they must be entered again."""
    return {name: value for name, value in secrets_of(row).items() if name in definition.secret_names}


def definition_of(row: Gateway) -> Definition | None:
    """Return the description of a gateway that has one. Raises InvalidDefinition if it can't be used any more."""
    if row.kind not in DRIVERS or not DRIVERS[row.kind].described:
        return None
    return definition_from(row.definition or preset_texts().get(row.preset, ""))


def pulls(name: str) -> bool:
    """Whether a gateway has to be asked for receipts."""
    row = _added(name)
    try:
        definition = definition_of(row) if row else None
    except InvalidDefinition:
        return False
    return definition is not None and definition.pull is not None


def address_of(row: Gateway) -> str:
    """Return the address that gets the messages: the gateway's own, or its provider's usual one."""
    try:
        definition = definition_of(row)
    except InvalidDefinition:
        definition = None
    return row.url or (definition.url if definition else "")


def secrets_of(row: Gateway) -> dict[str, str]:
    """Return the secret fields of a gateway with a description. Raises `sealed_secrets.Locked`."""
    return json.loads(row.secret) if row.secret else {}


def traits_of(row: Gateway) -> Traits:
    """Return what a gateway can do; nothing if that is not known any more."""
    kind = row.kind or (settings.GATEWAY if row.name == settings.GATEWAY else "")
    try:
        definition = definition_of(row)
    except InvalidDefinition:
        return Traits()
    if definition is not None:
        return Traits(definition.idempotent, definition.max_parts, definition.sender != "unsupported")
    known = DRIVERS.get(kind)
    return Traits(known.idempotent, known.max_parts, known.has_senders) if known else Traits()


def _of_settings() -> tuple[type[Driver], Connection]:
    driver_class, secret, username = DRIVERS[settings.GATEWAY], settings.GATEWAY_TOKEN, ""
    if driver_class.needs_username:
        username, _colon, secret = secret.partition(":")
    callback = callback_address(settings.GATEWAY)
    return driver_class, Connection(settings.GATEWAY, settings.GATEWAY_URL, username, secret, callback)


def limits(name: str) -> Limits:
    """Return the limits that an administrator set, or else the settings'; an added gateway has only its own rate."""
    row = Gateway.objects.filter(name=name).first() or Gateway(name=name)
    rate = row.rate if row.kind else settings.GATEWAY_RATE
    return Limits(row.concurrency or settings.GATEWAY_CONCURRENCY, rate)


def gateway_by_name(name: str | None) -> Gateway | None:
    """Return the gateway with this name; None for the settings' gateway. ValidationError if there is none."""
    if name is None or name == settings.GATEWAY:
        return None
    row = _added(name)
    if row is None:
        raise ValidationError({"gateway": _("This gateway does not exist.")})
    return row


def known_gateway(name: str) -> Gateway:
    """Return a gateway; the settings' gateway may not have a row yet. Http404 if there is none."""
    row = Gateway.objects.known().filter(pk=name).first()
    if row is None and name != settings.GATEWAY:
        raise Http404
    return row or Gateway(name=name)


def active_names() -> list[str]:
    """Return the names of the active gateways, the settings' gateway first.

    The order is fixed: a transaction that leaves a hint for each gateway locks the hints in this order.
    """
    rows = {row.name: row.active for row in Gateway.objects.known().order_by("name")}
    return [name for name, active in {settings.GATEWAY: True, **rows}.items() if active]


def route_of(name: str) -> Route:
    """Return what the gateway may send now."""
    rows = list(Gateway.objects.known().defer("secret"))
    names = {row.name for row in rows if row.kind} | {settings.GATEWAY}
    gateway = next((row for row in rows if row.name == name), Gateway(name=name))
    limit, takes = traits_of(gateway).max_parts, Coverage({name: areas.parse(gateway.carries)}).takes
    price_of, sender_of = present_tariff_of(gateway).price_of, senders_of(gateway).sender_of
    if len(names) == 1:
        return Route(name, max_parts=limit, takes=takes, price_of=price_of, sender_of=sender_of)
    stopped_by_name = {row.name: row.stopped for row in rows if row.fallback_id == name}
    served = {name, *(other for other, stopped in stopped_by_name.items() if stopped)}
    recovered = {other for other, stopped in stopped_by_name.items() if not stopped}
    return Route(
        name,
        sole=False,
        served=frozenset(served),
        recovered=frozenset(recovered),
        max_parts=limit,
        takes=takes,
        price_of=price_of,
        sender_of=sender_of,
    )


def has_senders(row: Gateway) -> bool:
    """Whether that gateway takes a sender name with each message."""
    return traits_of(row).has_senders


def senders_of(row: Gateway) -> Senders:
    """Return the sender names that a gateway allows; none if it takes none."""
    return Senders(row.senders if has_senders(row) else ())


def sender_problem(gateway: Gateway | None, sender: str | None, country: str | None = None) -> str:
    """Return why a gateway refuses a sender name, in that country if one is given; an empty string if it allows it.

    Without a gateway, it is about the settings' gateway. No name is always allowed.
    """
    if not sender:
        return ""
    row = gateway or known_gateway(settings.GATEWAY)
    senders = senders_of(row)
    if senders.allows(sender, country):
        return ""
    values = {"gateway": row, "names": ", ".join(senders.names[:_NAMES_SHOWN])}
    if not senders:
        return _("The gateway %(gateway)s has no sender names.") % values
    if senders.allows(sender):
        return _("The gateway %(gateway)s does not allow this sender name in the phone’s country.") % values
    return _("The gateway %(gateway)s does not allow this sender name. It allows: %(names)s.") % values


def check_sender(gateway: Gateway | None, sender: str | None, country: str | None = None) -> None:
    """Raise ValidationError for `sender` if the gateway refuses it, see `sender_problem`."""
    problem = sender_problem(gateway, sender, country)
    if problem:
        raise ValidationError({"sender": problem})


def is_idempotent(name: str | None) -> bool:
    """Whether that gateway is idempotent; a deleted one counts as not idempotent."""
    row = None if name is None else _added(name)
    if row is None and name not in (None, settings.GATEWAY):
        return False
    return traits_of(row or Gateway(name=settings.GATEWAY)).idempotent


def repeatable() -> Q:
    """The messages that are the same message to their last gateway when it gets them again."""
    rows = {settings.GATEWAY: Gateway(name=settings.GATEWAY)}
    rows |= {row.name: row for row in Gateway.objects.known().defer("secret")}
    names = {name for name, row in rows.items() if traits_of(row).idempotent}
    found = Q(gateway__in=names)
    return found | Q(gateway=None) if settings.GATEWAY in names else found


def all_gateways_idempotent(campaign: Campaign) -> bool:
    """Whether all gateways that may send a campaign's messages are idempotent; one query."""
    home, gateways = campaign.gateway_id or settings.GATEWAY, _gateways_of(campaign)
    return home in gateways and all(traits.idempotent for traits in gateways.values())


def max_parts_of(campaign: Campaign) -> int | None:
    """Return the most parts that all gateways of a campaign send completely; None: no limit."""
    limits = (traits.max_parts for traits in _gateways_of(campaign).values())
    return min((limit for limit in limits if limit is not None), default=None)


def check_parts(campaign: Campaign, parts: int) -> None:
    """Raise ValidationError for `text` if a gateway would cut off parts of it."""
    limit = max_parts_of(campaign)
    if limit is not None and parts > limit:
        refusal = _("The text takes %(parts)d parts, but the gateway accepts at most %(limit)d. Shorten the text.")
        raise ValidationError({"text": refusal % {"parts": parts, "limit": limit}})


def read_areas(text: str) -> tuple[str, ...]:
    """Return the areas in a text. ValidationError, with the wrong word, if one is none."""
    try:
        return areas.parse(text)
    except ValueError as error:
        refusal = _("“%(word)s” is neither a country code such as KZ nor the first digits of numbers such as 7727.")
        raise ValidationError(refusal % {"word": error}) from error


def check_fallbacks(name: str, carries: str, fallback: Gateway | None) -> None:
    """Raise ValidationError if a fallback lacks numbers of its gateway, when this one has these new values."""
    taken = areas.parse(carries)
    missing = areas.uncovered(taken, by=areas.parse(fallback.carries)) if fallback else ()
    if missing:
        refusal = _("%(fallback)s does not take all numbers that this gateway takes. It lacks: %(areas)s.")
        raise ValidationError({"fallback": refusal % {"fallback": fallback, "areas": area_words(missing)}})
    for other, carried in Gateway.objects.filter(fallback=name).order_by("name").values_list("name", "carries"):
        missing = areas.uncovered(areas.parse(carried), by=taken)
        if missing:
            refusal = _("This gateway is the fallback of %(gateway)s, so it must also take: %(areas)s.")
            raise ValidationError({"carries": refusal % {"gateway": other, "areas": area_words(missing)}})


def _gateways_of(campaign: Campaign) -> dict[str, Traits]:
    """Return the gateways that may send a campaign's messages, and what they can do; one query."""
    rows = {row.name: row for row in Gateway.objects.known().defer("secret")}
    coverage = coverage_of(campaign.gateway_id, rows.values())
    carriers = set(coverage.areas if coverage.divides else [coverage.home])
    names = carriers | {rows[name].fallback_id for name in carriers if name in rows}
    rows.setdefault(settings.GATEWAY, Gateway(name=settings.GATEWAY))
    return {name: traits_of(row) for name, row in rows.items() if name in names}


def callback_address(name: str) -> str:
    """Return the URL for the gateway's receipts. It contains the gateway's key, so it is secret."""
    return f"{settings.PUBLIC_URL}/api/v1/callbacks/{name}?key={_keys().signature(name)}"


def key_fits(name: str, key: str) -> bool:
    """Whether the key is that gateway's, compared in constant time. Keys made with SECRET_KEY_FALLBACKS are valid."""
    try:
        _keys().unsign(f"{name}:{key}")
    except BadSignature:
        return False
    return True


def _added(name: str) -> Gateway | None:
    """Return a gateway that an administrator added."""
    return Gateway.objects.exclude(kind="").filter(name=name).first()


def _keys() -> Signer:
    return Signer(salt="campaigns.callbacks")
