"""The progress of an import for its page."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.utils.translation import gettext as _

from directory.imports.models import Import
from project.core.clock import now

_GROUPS: Final = (
    ("created", "good"),
    ("updated", "sent"),
    ("unchanged", "same"),
    ("duplicate", "same"),
    ("skipped", "same"),
    ("not_owned", "warn"),
    ("rejected", "bad"),
)
LISTED_OUTCOMES: Final = frozenset({"not_owned", "rejected"})
_BAR_WIDTH: Final = 1000


@dataclass(frozen=True)
class Part:
    """One outcome: its number of rows, and its position on a bar that is 1000 wide."""

    name: str
    label: str
    tone: str
    number: int
    x: int
    width: int
    listed: bool


@dataclass(frozen=True)
class Progress:
    """Processed and total rows; `rate` per second and `left` until the end, where known."""

    done: int
    total: int | None
    parts: list[Part]
    took: timedelta
    rate: int | None
    left: timedelta | None


def labels() -> dict[str, str]:
    """Return the labels of the outcomes."""
    return {
        "created": _("Created"),
        "updated": _("Updated"),
        "unchanged": _("Unchanged"),
        "duplicate": _("Duplicates"),
        "skipped": _("Skipped"),
        "not_owned": _("Added by others"),
        "rejected": _("Rejected"),
    }


def progress_of(row: Import) -> Progress:
    """Return the progress of a started import."""
    done, total = row.done, row.rows
    took = (row.finished_at or now()) - (row.started_at or row.created_at)
    rate = round(done / took.total_seconds()) if done and took else None
    left = timedelta(seconds=round((total - done) / rate)) if rate and total and not row.finished_at else None
    return Progress(done, total, _parts(row, total or done), took, rate, left)


def _parts(row: Import, whole: int) -> list[Part]:
    names, parts, before = labels(), [], 0
    # Rows without changes come last on the bar.
    for name, tone in sorted(_GROUPS, key=lambda group: group[1] == "same"):
        number = getattr(row, name)
        x, end = (_BAR_WIDTH * edge // max(whole, 1) for edge in (before, before + number))
        parts.append(Part(name, names[name], tone, number, x, end - x, listed=name in LISTED_OUTCOMES))
        before += number
    return parts
