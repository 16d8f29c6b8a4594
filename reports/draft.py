"""What has been counted of a run so far: by hour, as a whole and by operator code, time zone, tag and reason."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from django.db.models import Count, Sum
from django.db.models.functions import Coalesce, TruncHour

from campaigns.models import MessageQuerySet
from campaigns.states import MARKED, OPEN, MessageStatus
from reports.models import Facet

ENDED: Final = tuple(status for status in MessageStatus if status not in OPEN)
ACCEPTED: Final = (MessageStatus.SENT, MessageStatus.DELIVERED, MessageStatus.UNDELIVERED)
_WELL: Final = (MessageStatus.SENT, MessageStatus.DELIVERED)
_NUMBERS: Final = (Count("pk"), Sum("parts"))
_PREFIX: Final = Coalesce("phone", "contact__phone") / 10**7
_HOUR: Final = TruncHour(Coalesce("ended_at", "changed_at"), tzinfo=UTC)

Cells = dict[tuple[Facet, datetime, str], dict[str, int]]


def _no_cells() -> Cells:
    return defaultdict(lambda: defaultdict(int))


@dataclass
class Draft:
    """A count that began at `moment`, when the run's counters said `mark` and `total`, and has taken `seconds`.

    It has `seen` messages of the run, those up to the id `reached`.
    """

    mark: str
    total: int
    moment: datetime
    seconds: float = 0.0
    reached: int = 0
    seen: int = 0
    cells: Cells = field(default_factory=_no_cells)

    @classmethod
    def of_json(cls, told: dict[str, Any]) -> "Draft":
        """The one that `to_json` made this of."""
        cells = _no_cells()
        for facet, hour, value, numbers in told["cells"]:
            cells[Facet(facet), datetime.fromisoformat(hour), value].update(numbers)
        return cls(**{**told, "moment": datetime.fromisoformat(told["moment"]), "cells": cells})

    def to_json(self) -> dict[str, Any]:
        """To be kept until somebody goes on."""
        cells = [(facet, hour.isoformat(), value, numbers) for (facet, hour, value), numbers in self.cells.items()]
        return {**vars(self), "moment": self.moment.isoformat(), "cells": cells}

    @property
    def complete(self) -> bool:
        """Whether no message was missing. The counters were read first, so of messages there can only be more."""
        return self.seen >= self.total

    def add(self, messages: MessageQuerySet) -> None:
        """Count these messages, too, and the attempts at them that failed."""
        self._add_messages(messages)
        self._add_tags(messages)
        self._add_tries(messages)

    def _add_messages(self, messages: MessageQuerySet) -> None:
        """To all facets but the tags. Those that wait are seen, and count nowhere."""
        told = (_HOUR, _PREFIX, "contact__timezone", "status", "reason")
        for hour, prefix, zone, status, reason, number, parts in (
            messages.order_by().values_list(*told).annotate(*_NUMBERS)
        ):
            self.seen += number
            if status not in OPEN:
                for facet, value in _facets(prefix, zone, reason if status not in _WELL else None):
                    cell = self.cells[facet, hour, value]
                    _add(cell, status, number, parts)
                    # One that a person takes for sent is among the attempts that failed.
                    cell["attempts"] += number if status in ACCEPTED and reason != MARKED else 0

    def _add_tags(self, messages: MessageQuerySet) -> None:
        """To the tags that their contacts have now."""
        ended = messages.filter(status__in=ENDED).order_by()
        told = (_HOUR, "contact__taggings__tag__name", "status")
        for hour, tag, status, number, parts in ended.values_list(*told).annotate(*_NUMBERS):
            _add(self.cells[Facet.TAG, hour, tag or ""], status, number, parts)

    def _add_tries(self, messages: MessageQuerySet) -> None:
        """The attempts that failed."""
        failures = messages.filter(failures__isnull=False).order_by()
        told = (TruncHour("failures__at", tzinfo=UTC), _PREFIX, "contact__timezone", "failures__reason")
        for hour, prefix, zone, reason, number in failures.values_list(*told).annotate(Count("failures")):
            for facet, value in _facets(prefix, zone, reason):
                self.cells[facet, hour, value]["attempts"] += number
                self.cells[facet, hour, value]["tries"] += number


def _facets(prefix: int, zone: str | None, reason: str | None) -> Iterator[tuple[Facet, str]]:
    """Where a message or an attempt counts; `prefix` is the phone's first four digits."""
    yield Facet.WHOLE, ""
    yield Facet.OPERATOR, f"{prefix % 1000:03}"
    yield Facet.TIMEZONE, zone or ""
    if reason is not None:
        yield Facet.REASON, reason


def _add(cell: dict[str, int], status: str, number: int, parts: int) -> None:
    cell[status] += number
    cell["parts"] += parts if status in ACCEPTED else 0
