"""What a gateway charges for a message on one day."""

from collections.abc import Mapping
from datetime import date
from zoneinfo import ZoneInfo

from django.conf import settings

from campaigns.gateways.areas import Areas
from campaigns.models import Price
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

    def price_of(self, phone: int) -> int | None:
        """Return the price of a part to this phone; None if it is not known."""
        return self._prices.get(self._areas.closest(phone, phones.country(phone)) or "")


NO_PRICES = Tariff({})


def today() -> date:
    """Return the day whose prices are valid now: the date in the installation's time zone."""
    return now().astimezone(ZoneInfo(settings.TIME_ZONE)).date()


def tariff_of(gateway: str, day: date | None = None) -> Tariff:
    """Return a gateway's prices on a day; without one, today's."""
    rows = Price.objects.filter(gateway=gateway, valid_from__lte=day or today()).order_by("valid_from")
    return Tariff({area: to_micros(price) for area, price in rows.values_list("area", "price")})
