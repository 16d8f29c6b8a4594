"""The builder of a run's tallies: counts messages by hour, in total and by each facet."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from django.db.models import BigIntegerField, Case, Count, F, Q, Sum, When
from django.db.models.functions import Coalesce, TruncHour
from django.db.models.lookups import Range

from campaigns.models import MessageQuerySet
from campaigns.states import ACCEPTED, ENDED, MARKED, SUCCESS_PATH
from directory import phones
from reports.models import Facet

_NUMBERS: Final = (Count("pk"), Sum("parts"))
_PHONE: Final = Coalesce("phone", "contact__phone")
# Four digits of a number of the +7 plan; other plans have no operator codes.
_PREFIX: Final = Case(When(Range(_PHONE, (phones.PLAN_OF_7.start, phones.PLAN_OF_7.stop - 1)), then=_PHONE / 10**7))
# A contact's country is that of its phone. It says nothing of a message to another phone, and may not be derived yet.
_IS_OF_CONTACT: Final = Q(contact__line_type__gt="") & (Q(phone=None) | Q(phone=F("contact__phone")))
_OTHER_PHONE: Final = Case(When(_IS_OF_CONTACT, then=None), default=_PHONE, output_field=BigIntegerField(null=True))
_CONTACT: Final = (_PREFIX, "contact__country", _OTHER_PHONE, "contact__timezone")
_HOUR: Final = TruncHour(Coalesce("ended_at", "changed_at"), tzinfo=UTC)

Cells = dict[tuple[Facet, datetime, str], dict[str, int]]


def _no_cells() -> Cells:
    return defaultdict(lambda: defaultdict(int))


@dataclass
class TallyBuilder:
    """A count that began at `moment`, when the run's counters were `mark` and `total`, and has taken `seconds`.

    It has counted `seen` messages of the run, up to the id `reached`, by `facets`. The fields are keys of the stored
    JSON.
    """

    mark: str
    total: int
    moment: datetime
    seconds: float = 0.0
    reached: int = 0
    seen: int = 0
    facets: list[str] = field(default_factory=lambda: list(Facet.values))
    cells: Cells = field(default_factory=_no_cells)

    @classmethod
    def of_json(cls, data: dict[str, Any]) -> "TallyBuilder":
        """Restore a builder from `to_json`."""
        cells = _no_cells()
        for facet, hour, value, numbers in data["cells"]:
            cells[Facet(facet), datetime.fromisoformat(hour), value].update(numbers)
        return cls(**{**data, "moment": datetime.fromisoformat(data["moment"]), "cells": cells})

    def to_json(self) -> dict[str, Any]:
        """The state as JSON, to continue later."""
        cells = [(facet, hour.isoformat(), value, numbers) for (facet, hour, value), numbers in self.cells.items()]
        return {**vars(self), "moment": self.moment.isoformat(), "cells": cells}

    @property
    def complete(self) -> bool:
        """Whether no message is missing. The counters were read first, so there may be more messages, but not fewer."""
        return self.seen >= self.total

    def add(self, messages: MessageQuerySet) -> None:
        """Count these messages and their failed attempts."""
        self._add_messages(messages)
        self._add_tags(messages)
        self._add_attempts(messages)

    def _add_messages(self, messages: MessageQuerySet) -> None:
        """Add messages to all facets except tags. Pending ones only count as seen."""
        columns = (_HOUR, *_CONTACT, "status", "reason")
        for hour, *contact, status, reason, number, parts in (
            messages.order_by().values_list(*columns).annotate(*_NUMBERS)
        ):
            self.seen += number
            if status in ENDED:
                for facet, value in _facets(contact, reason if status not in SUCCESS_PATH else None):
                    cell = self.cells[facet, hour, value]
                    _add(cell, status, number, parts)
                    # If a user marked it as sent, its attempts are counted as failed ones.
                    cell["attempts"] += number if status in ACCEPTED and reason != MARKED else 0

    def _add_tags(self, messages: MessageQuerySet) -> None:
        """Add messages to the tags that their contacts have now."""
        ended = messages.filter(status__in=ENDED).order_by()
        columns = (_HOUR, "contact__taggings__tag__name", "status")
        for hour, tag, status, number, parts in ended.values_list(*columns).annotate(*_NUMBERS):
            _add(self.cells[Facet.TAG, hour, tag or ""], status, number, parts)

    def _add_attempts(self, messages: MessageQuerySet) -> None:
        """Add failed attempts."""
        failures = messages.filter(failures__isnull=False).order_by()
        columns = (TruncHour("failures__at", tzinfo=UTC), *_CONTACT, "failures__reason")
        for hour, *contact, reason, number in failures.values_list(*columns).annotate(Count("failures")):
            for facet, value in _facets(contact, reason):
                self.cells[facet, hour, value]["attempts"] += number
                self.cells[facet, hour, value]["tries"] += number


def _facets(contact: Iterable[Any], reason: str | None) -> Iterator[tuple[Facet, str]]:
    """The facets of a message or attempt; `contact` has the values of `_CONTACT`."""
    prefix, country, other_phone, zone = contact
    yield Facet.WHOLE, ""
    yield Facet.OPERATOR, "" if prefix is None else f"{prefix % 1000:03}"
    yield Facet.COUNTRY, (country or "") if other_phone is None else phones.country(other_phone)
    yield Facet.TIMEZONE, zone or ""
    if reason is not None:
        yield Facet.REASON, reason


def _add(cell: dict[str, int], status: str, number: int, parts: int) -> None:
    cell[status] += number
    cell["parts"] += parts if status in ACCEPTED else 0
