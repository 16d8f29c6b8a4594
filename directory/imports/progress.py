"""How far an import is, in figures and sentences for its page."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.utils.timezone import now
from django.utils.translation import gettext as _

from directory.imports.models import Import

_GROUPS: Final = (
    ("created", "good"),
    ("updated", "sent"),
    ("unchanged", "same"),
    ("folded", "same"),
    ("skipped", "same"),
    ("left_alone", "warn"),
    ("rejected", "bad"),
)
LISTED: Final = frozenset({"left_alone", "rejected"})
_BAR: Final = 1000


@dataclass(frozen=True)
class Part:
    """One outcome: how many rows had it, and where it lies on a bar 1000 wide."""

    name: str
    label: str
    tone: str
    number: int
    x: int
    width: int
    listed: bool


@dataclass(frozen=True)
class Progress:
    """Rows that are done of all; `rate` a second, `left` until the end where both can be told."""

    done: int
    total: int | None
    parts: list[Part]
    took: timedelta
    rate: int | None
    left: timedelta | None


def labels() -> dict[str, str]:
    """What each outcome is called."""
    return {
        "created": _("Created"),
        "updated": _("Updated"),
        "unchanged": _("Unchanged"),
        "folded": _("Repeated"),
        "skipped": _("Skipped"),
        "left_alone": _("Left alone"),
        "rejected": _("Rejected"),
    }


def progress_of(row: Import) -> Progress:
    """The figures of an import that has been started."""
    done, total = row.done, row.rows
    took = (row.finished_at or now()) - (row.started_at or row.created_at)
    rate = round(done / took.total_seconds()) if done and took else None
    left = timedelta(seconds=round((total - done) / rate)) if rate and total and not row.finished_at else None
    return Progress(done, total, _parts(row, total or done), took, rate, left)


def _parts(row: Import, whole: int) -> list[Part]:
    names, parts, before = labels(), [], 0
    # What changed nothing comes last on the bar.
    for name, tone in sorted(_GROUPS, key=lambda group: group[1] == "same"):
        number = getattr(row, name)
        x, end = (_BAR * edge // max(whole, 1) for edge in (before, before + number))
        parts.append(Part(name, names[name], tone, number, x, end - x, listed=name in LISTED))
        before += number
    return parts
