"""How far a campaign is, for people: its messages in the few groups that a page tells apart, and a meter of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from campaigns.models import Run
from campaigns.states import MessageStatus
from campaigns.statistics import Statistics

METER_WIDTH: Final = 1000
# In the order of the meter: name (of a tab, too), label, tone, and whether it is shown when there are none.
_GROUPS: Final[tuple[tuple[str, str | Promise, str, bool], ...]] = (
    ("delivered", _("Delivered"), "good", False),
    ("sent", _("Sent"), "sent", True),
    ("retrying", _("Retrying"), "warn", True),
    ("unknown", _("Unknown"), "warn", False),
    ("failed", _("Failed"), "bad", True),
    ("undelivered", _("Undelivered"), "bad", False),
    ("waiting", _("Waiting"), "wait", True),
    ("expired", _("Expired"), "wait", False),
    ("cancelled", _("Cancelled"), "wait", False),
)


@dataclass(frozen=True)
class Group:
    """Messages that a page shows together; `x` and `width` are its place in the meter, in thousandths."""

    name: str
    label: str | Promise
    tone: str
    number: int
    x: int
    width: int


@dataclass(frozen=True)
class Progress:
    """`done` of `total` messages need nothing more from us."""

    done: int
    total: int
    groups: list[Group]

    @property
    def summary(self) -> str:
        """The meter in words."""
        return ", ".join(f"{group.number} {str(group.label).lower()}" for group in self.groups if group.number)


def progress_of(statistics: Statistics) -> Progress:
    """The progress that the figures of a campaign tell."""
    return tally(statistics.by_status, statistics.retrying)


def progress_of_runs(runs: Iterable[Run]) -> Progress:
    """The progress of those runs by their counters alone, which don't tell who is retried."""
    rows = list(runs)
    return tally({status: sum(getattr(run, status) for run in rows) for status in MessageStatus.values})


def tally(by_status: Mapping[str, int], retrying: int | None = None, most: int | None = None) -> Progress:
    """Messages by state in the groups of a page; `retrying`, of those that wait, is told apart where it is known.

    The meter is full at the total, or at `most`, where several are to be compared.
    """
    waiting = by_status[MessageStatus.PENDING] + by_status[MessageStatus.SENDING]
    # Two queries made these, and a message may have moved in between.
    again = min(retrying or 0, waiting)
    numbers = {**by_status, "retrying": again, "waiting": waiting - again}
    total = sum(by_status.values())
    groups, before = [], 0
    for name, label, tone, always in _GROUPS:
        number = numbers[name]
        start, before = before, before + number
        if number or (always and not (name == "retrying" and retrying is None)):
            x, end = (METER_WIDTH * edge // max(most or total, 1) for edge in (start, before))
            groups.append(Group(name, label, tone, number, x, end - x))
    return Progress(total - waiting, total, groups)
