"""Which campaigns a gateway carries: its own, and while another is stopped, those of which it is the fallback."""

from dataclasses import dataclass

from django.conf import settings
from django.db.models import Q


@dataclass(frozen=True)
class Route:
    """What `gateway` may carry at this moment; everything, if it is the `sole` one.

    Of campaigns whose gateway is in `homes` it takes what is free. Of those in `guests`, whose gateway works again, it
    takes what it has had before, for that may be its alone to try again.
    """

    gateway: str
    sole: bool = True
    homes: frozenset[str] = frozenset()
    guests: frozenset[str] = frozenset()

    def serves(self) -> Q:
        """Runs of campaigns at home."""
        return _of(self.homes)

    def visits(self) -> Q:
        """Runs of the guests."""
        return _of(self.guests)


def _of(gateways: frozenset[str]) -> Q:
    """Runs of campaigns that those are for; without a gateway of its own a campaign has that of the settings."""
    ours = Q(campaign__gateway__in=gateways)
    return ours | Q(campaign__gateway=None) if settings.GATEWAY in gateways else ours
