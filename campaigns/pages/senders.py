"""The sender names that the composer offers."""

from typing import Any, Final

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from campaigns.gateways import registry
from campaigns.gateways.senders import Senders
from campaigns.models import Campaign, Gateway

_COUNTRIES_SHOWN: Final = 5


def sender_choices(current: str | None) -> list[tuple[str, Any]]:
    """The choices of the field, by gateway if there are several; only the first one if no gateway has sender names.

    The current name is among them even if no gateway allows it any more.
    """
    rows = sorted(Gateway.objects.known().defer("secret"), key=lambda row: (row.name != settings.GATEWAY, row.name))
    offered = {row.name: senders for row in rows if (senders := registry.senders_of(row))}
    choices: list[tuple[str, Any]] = [("", _("Default of the gateway"))]
    if any(row.name != settings.GATEWAY for row in rows):
        choices += [(_group(name), _options(senders)) for name, senders in offered.items()]
    else:
        choices += [option for senders in offered.values() for option in _options(senders)]
    if current and not any(senders.allows(current) for senders in offered.values()):
        choices.append((current, current))
    return choices


def sender_words(campaign: Campaign) -> str:
    """The sender name of a campaign, or a text for the gateway's default; empty if the gateway has no names."""
    if campaign.sender:
        return campaign.sender
    row = campaign.gateway or registry.known_gateway(settings.GATEWAY)
    return _("Default of the gateway") if registry.senders_of(row) else ""


def _group(gateway: str) -> str:
    return pgettext("gateway", "Default") if gateway == settings.GATEWAY else gateway


def _options(senders: Senders) -> list[tuple[str, str]]:
    return [(name, _label(name, senders.countries_of(name))) for name in senders.names]


def _label(name: str, countries: list[str]) -> str:
    if not countries:
        return name
    more = " …" if len(countries) > _COUNTRIES_SHOWN else ""
    return f"{name} ({', '.join(countries[:_COUNTRIES_SHOWN])}{more})"
