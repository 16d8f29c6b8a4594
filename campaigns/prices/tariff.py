"""What a gateway charges for a message on one day."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from django.conf import settings

from campaigns.gateways.areas import Areas
from campaigns.models import Gateway, Price
from directory import phones
from project.core.clock import now
from project.core.money import to_micros


class Tariff:
    """Prices per part in micros by area; that of the empty area is for all other phones."""

    def __init__(self, prices: Mapping[str, int]) -> None:
        self._prices, self._areas = prices, Areas(filter(None, prices))

    def __bool__(self) -> bool:
        """Whether any price is known."""
        return bool(self._prices)

    def price_of(self, phone: int, country: str | None = None) -> int | None:
        """Return the price of a part to this phone; None if it is not known. `country` is that of the phone, if known.

        The first digits are as good as the whole phone if they are not fewer than `digits`.
        """
        if not self._prices:
            return None
        code = phones.country(phone) if country is None else country
        return self._prices.get(self._areas.closest(phone, code) or "")

    @property
    def digits(self) -> int:
        """The length of the longest prefix that has a price."""
        return self._areas.digits


NO_PRICES = Tariff({})


def today() -> date:
    """Return the day whose prices are valid now."""
    return day_of(now())


def day_of(moment: datetime) -> date:
    """Return the day whose prices are valid at a moment: the date in the installation's time zone."""
    return moment.astimezone(ZoneInfo(settings.TIME_ZONE)).date()


def tariff_of(gateway: str, day: date | None = None) -> Tariff:
    """Return a gateway's prices on a day; without one, today's."""
    return tariffs_of([gateway], day)[gateway]


def present_tariff_of(gateway: Gateway) -> Tariff:
    """Return a gateway's prices of today, read again only after they were changed or the day has."""
    changed_at = gateway.prices_changed_at
    return tariff_of(gateway.name) if changed_at is None else _tariff_since(gateway.name, today(), changed_at)


@lru_cache(maxsize=100)
def _tariff_since(gateway: str, day: date, _changed_at: datetime) -> Tariff:
    return tariff_of(gateway, day)


def tariffs_of(gateways: Iterable[str], day: date | None = None) -> dict[str, Tariff]:
    """Return the prices of several gateways on a day; one query."""
    prices: dict[str, dict[str, int]] = {name: {} for name in gateways}
    rows = Price.objects.filter(gateway__in=prices, valid_from__lte=day or today()).order_by("valid_from")
    for gateway, area, price in rows.values_list("gateway", "area", "price"):
        prices[gateway][area] = to_micros(price)
    return {name: Tariff(areas) for name, areas in prices.items()}
