"""Which campaigns a gateway sends: its own, and those of a stopped gateway whose fallback it is."""

from collections.abc import Callable
from dataclasses import dataclass, field

from django.conf import settings
from django.db.models import Q


@dataclass(frozen=True)
class Route:
    """What `gateway` may send now; everything if it is the `sole` one.

    Of campaigns of the gateways in `served` it sends all free messages. Of campaigns of the gateways in `recovered`,
    which work again, it sends only messages that it has had before, because only it may be allowed to retry them.
    In a routed run the gateway that carries the message takes the place of the campaign's.
    """

    gateway: str
    sole: bool = True
    served: frozenset[str] = frozenset()
    recovered: frozenset[str] = frozenset()
    max_parts: int | None = None
    """The most parts that the gateway sends completely; None: no limit."""
    takes: Callable[[int], bool] = field(default=lambda _phone: True, compare=False)
    """Whether the gateway takes this phone's number."""
    price_of: Callable[[int], int | None] = field(default=lambda _phone: None, compare=False)
    """The gateway's price of a part to a phone, in micros; None if it is not known."""

    sender_of: Callable[[int, str], str] = field(default=lambda _phone, _wanted: "", compare=False)
    """The sender name of a message to a phone for which some name is wanted; empty: none."""

    def runs_served(self) -> Q:
        """Match runs of campaigns of the served gateways."""
        return _of(self.served)

    def runs_recovered(self) -> Q:
        """Match runs of campaigns of the recovered gateways."""
        return _of(self.recovered)


def _of(gateways: frozenset[str]) -> Q:
    """Match runs of campaigns of those gateways; without a gateway, a campaign uses the settings' gateway."""
    ours = Q(campaign__gateway__in=gateways)
    return ours | Q(campaign__gateway=None) if settings.GATEWAY in gateways else ours
