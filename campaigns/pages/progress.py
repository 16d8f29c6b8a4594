"""The progress of campaigns for pages: messages in a few groups, and a meter of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from campaigns.models import Run
from campaigns.states import OPEN, MessageStatus
from campaigns.statistics import Statistics

METER_WIDTH: Final = 1000
# In the order of the meter: name (also of the tab), label, tone, and whether it is shown when empty.
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
    """A group of messages; `x` and `width` are its place in the meter, in thousandths."""

    name: str
    label: str | Promise
    tone: str
    number: int
    x: int
    width: int


@dataclass(frozen=True)
class Progress:
    """`done` of `total` messages have a final status."""

    done: int
    total: int
    groups: list[Group]

    @property
    def tenths(self) -> int:
        """How many tenths are done; screen readers announce only these."""
        return 10 * self.done // self.total if self.total else 0

    @property
    def summary(self) -> str:
        """The meter as text."""
        return ", ".join(f"{group.number} {str(group.label).lower()}" for group in self.groups if group.number)


def progress_of(statistics: Statistics) -> Progress:
    """The progress of a campaign."""
    return tally(statistics.by_status, statistics.retrying)


def progress_of_runs(runs: Iterable[Run]) -> Progress:
    """The progress of these runs by their counters, which don't include retries."""
    rows = list(runs)
    return tally({status: sum(getattr(run, status) for run in rows) for status in MessageStatus.values})


def tally(by_status: Mapping[str, int], retrying: int | None = None, full_at: int | None = None) -> Progress:
    """Group messages by status. `retrying` is the number of waiting messages that are retried, if known.

    The meter is full at the total, or at `full_at`, to compare several meters.
    """
    waiting = sum(by_status[status] for status in OPEN)
    # These come from two queries, and a message may have changed in between.
    retried = min(retrying or 0, waiting)
    numbers = {**by_status, "retrying": retried, "waiting": waiting - retried}
    total = sum(by_status.values())
    groups, end_so_far = [], 0
    for name, label, tone, always_shown in _GROUPS:
        number = numbers[name]
        start, end_so_far = end_so_far, end_so_far + number
        if number or (always_shown and not (name == "retrying" and retrying is None)):
            x, end = (METER_WIDTH * edge // max(full_at or total, 1) for edge in (start, end_so_far))
            groups.append(Group(name, label, tone, number, x, end - x))
    return Progress(total - waiting, total, groups)
