"""Which gateway carries a phone number, where gateways take only some countries or prefixes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter

from django.conf import settings
from django.db.models import Case, CharField, Q, Value, When
from django.db.models.functions import Cast
from django.db.models.lookups import StartsWith

from campaigns.gateways.areas import Areas, is_prefix, parse
from campaigns.models import Gateway
from directory import phones


@dataclass(frozen=True)
class Coverage:
    """The gateways that may carry a campaign's messages, its own first, with the areas that they take; none: all.

    A gateway that the campaign names (`named`) carries all numbers that it takes. Any other number goes by the gateway
    whose areas describe it most exactly: by the longest prefix, else the country, else the first that takes all.
    """

    areas: Mapping[str, Sequence[str]]
    named: bool = False

    @property
    def divides(self) -> bool:
        """Whether numbers may go by another gateway than the campaign's own."""
        return self._by_area != {"": self.home}

    def gateway_of(self, phone: int, country: str) -> str | None:
        """Return the gateway that carries a phone; None if none does."""
        area = self._own_areas.closest(phone, country) or self._all_areas.closest(phone, country)
        return self._by_area.get(area or "")

    def takes(self, phone: int) -> bool:
        """Whether any gateway carries a phone."""
        return self.gateway_of(phone, phones.country(phone)) is not None

    def annotation(self) -> Case:
        """Return the same as an expression over contacts."""
        listed = [area for area in self._by_area if area]
        exact_first = sorted(listed, key=lambda area: (is_prefix(area), len(area)), reverse=True)
        own_first = sorted(exact_first, key=lambda area: not (self.named and area in self.areas[self.home]))
        whens = [When(_is_in(area), then=Value(self._by_area[area])) for area in own_first]
        return Case(*whens, default=Value(self._by_area.get("")), output_field=CharField(max_length=40))

    @property
    def home(self) -> str:
        """The campaign's own gateway."""
        return next(iter(self.areas))

    @cached_property
    def _own_areas(self) -> Areas:
        """The areas that go before all others: those of the gateway that the campaign names."""
        return Areas(self.areas[self.home] if self.named else ())

    @cached_property
    def _all_areas(self) -> Areas:
        return Areas(filter(None, self._by_area))

    @cached_property
    def _by_area(self) -> dict[str, str]:
        """The first gateway of each area, an empty one for all numbers."""
        if self.named and not self.areas[self.home]:
            return {"": self.home}
        found: dict[str, str] = {}
        for gateway, areas in self.areas.items():
            for area in areas or ("",):
                found.setdefault(area, gateway)
        return found


def _is_in(area: str) -> Q | StartsWith:
    """Match contacts of an area."""
    return StartsWith(Cast("phone", CharField()), area) if is_prefix(area) else Q(country=area)


def coverage_of(name: str | None, rows: Iterable[Gateway] | None = None) -> Coverage:
    """Return the coverage for campaigns of a gateway; without a name, for those of the settings' gateway.

    `rows` are all known gateways, if the caller has them.
    """
    home = name or settings.GATEWAY
    known = Gateway.objects.known().defer("secret") if rows is None else rows
    usable = [row for row in known if row.active or row.name == home]
    areas = {row.name: parse(row.carries) for row in sorted(usable, key=attrgetter("name"))}
    return Coverage({home: areas.pop(home, ()), **areas}, named=home != settings.GATEWAY)
