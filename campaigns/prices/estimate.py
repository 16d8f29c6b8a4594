"""What a text to an audience costs, before it is sent."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final, NamedTuple

from django.core.cache import caches
from django.db.models import CharField, Count, Value
from django.db.models.functions import Cast, Substr

from campaigns.gateways.areas import Areas
from campaigns.gateways.coverage import Coverage, coverage_of
from campaigns.prices.tariff import Tariff, day_of, tariffs_of, today
from directory.audiences.audience import Audience
from directory.models import Contact

_CACHE_SECONDS: Final = 60


class Group(NamedTuple):
    """Recipients whose messages cost the same. No `gateway`: none carries them; no `price`: it is not known."""

    country: str
    gateway: str | None
    price: int | None
    recipients: int


class CostRow(NamedTuple):
    """The messages to a country through a gateway; the cost in micros."""

    country: str
    gateway: str
    recipients: int
    parts: int
    cost: int


@dataclass(frozen=True)
class Estimate:
    """The cost of one message to each recipient, in micros; None if no price is known.

    `rows` are the recipients with a price, the most expensive first. `unpriced` and `unreachable` are the numbers by
    country of recipients without a known price, and of those that no gateway carries.
    """

    cost: int | None
    rows: list[CostRow]
    unpriced: dict[str, int]
    unreachable: dict[str, int]


NO_ESTIMATE: Final = Estimate(None, [], {}, {})


@dataclass(frozen=True)
class PricedAudience:
    """The recipients of an audience by what their messages cost. `priced`: whether any price is known."""

    groups: list[Group]
    priced: bool

    def estimate(self, parts: float) -> Estimate:
        """Return the cost of a text that takes so many parts, on average."""
        rows: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        unpriced, unreachable = Counter[str](), Counter[str]()
        for country, gateway, price, recipients in self.groups:
            if gateway is None:
                unreachable[country] += recipients
            elif price is not None:
                total = round(recipients * parts)
                rows[country, gateway].update(recipients=recipients, parts=total, cost=total * price)
            elif self.priced:
                unpriced[country] += recipients
        found = [CostRow(*key, row["recipients"], row["parts"], row["cost"]) for key, row in rows.items()]
        found.sort(key=lambda row: (-row.cost, row.country, row.gateway))
        cost = sum(row.cost for row in found) if found else None
        return Estimate(cost, found, dict(unpriced.most_common()), dict(unreachable.most_common()))


def priced_audience(audience: Audience, gateway: str | None, starts_at: datetime | None) -> PricedAudience | None:
    """Return what messages to an audience cost that are sent at once, or from a later moment on.

    None while there are neither prices nor gateways that take only some numbers.
    """
    day = max(today(), day_of(starts_at)) if starts_at else today()
    coverage = coverage_of(gateway)
    tariffs = tariffs_of(coverage.areas if coverage.divides else [coverage.home], day)
    priced = any(tariffs.values())
    if not priced and not coverage.divides:
        return None
    return PricedAudience(list(_groups(audience, coverage, tariffs)), priced)


def _groups(audience: Audience, coverage: Coverage, tariffs: dict[str, Tariff]) -> Iterator[Group]:
    lengths = [tariff.digits for tariff in tariffs.values()]
    if coverage.divides:
        lengths += [Areas(areas).digits for areas in coverage.areas.values()]
    for country, beginning, recipients in _counted(audience, max(lengths)):
        digits = int(beginning or 0)
        gateway = coverage.gateway_of(digits, country) if coverage.divides else coverage.home
        # During an upgrade, the countries of some contacts are not known yet.
        price = tariffs[gateway].price_of(digits, country) if gateway and country else None
        yield Group(country, gateway, price, recipients)


def _counted(audience: Audience, digits: int) -> list[tuple[str, str, int]]:
    """Count the recipients by country and first digits of the phone, cached for a minute while no contact changes."""
    newest = Contact.objects.order_by("-updated_at").values_list("pk", "updated_at").first()
    key = f"priced-{sha256(repr((audience, digits, newest)).encode()).hexdigest()}"
    counted: list[tuple[str, str, int]] | None = caches["process"].get(key)
    if counted is None:
        matching = Contact.objects.contactable().matching(audience).order_by()
        # Without the phone an index suffices.
        beginning = Substr(Cast("phone", CharField()), 1, digits) if digits else Value("")
        rows = matching.annotate(beginning=beginning).values_list("country", "beginning")
        counted = list(rows.annotate(recipients=Count("pk")))
        caches["process"].set(key, counted, _CACHE_SECONDS)
    return counted
