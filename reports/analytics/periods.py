"""The period of a report: chosen in the page's address, and compared with the days before."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final, TypeVar

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.utils.timezone import get_current_timezone, localdate
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from directory.contacts.widgets import DateInput
from project.core.clock import now

CUSTOM, ALL = "own", "all"
CHOICES: Final = {
    "today": _("Today"),
    "7": _("7 days"),
    "30": _("30 days"),
    "90": _("90 days"),
    CUSTOM: _("Custom range"),
}
ALL_TIME: Final = _("All time")
DEFAULT: Final = "30"
MAX_DAYS: Final = 366
_DAY: Final = timedelta(days=1)
M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class Period:
    """Whole days in the user's time zone, including both ends; today counts so far."""

    first: date
    last: date

    @property
    def since(self) -> datetime:
        """The moment at which it begins."""
        return datetime.combine(self.first, time(), get_current_timezone())

    @property
    def until(self) -> datetime:
        """The moment at which it ends, exclusive."""
        return datetime.combine(self.last + _DAY, time(), get_current_timezone())

    @property
    def days(self) -> list[date]:
        """Its days, in order."""
        return [self.first + number * _DAY for number in range((self.last - self.first).days + 1)]

    def before(self) -> tuple[datetime, datetime]:
        """The same number of days before it, up to the same time of day if it is not over yet."""
        length = len(self.days) * _DAY
        return self.since - length, min(self.until, now()) - length


class PeriodForm(forms.Form):
    """The period in the page's address."""

    period = forms.ChoiceField(required=False, choices=[*CHOICES.items(), (ALL, ALL_TIME)])
    first = forms.DateField(label=pgettext_lazy("period", "From"), required=False, widget=DateInput())
    last = forms.DateField(label=pgettext_lazy("period", "To"), required=False, widget=DateInput())

    def clean(self) -> dict[str, Any]:
        """A custom range needs both dates, in order, and covers at most a year."""
        data = super().clean() or {}
        if data.get("period") != CUSTOM or self.errors:
            return data
        first, last = data["first"], data["last"]
        for name in ("first", "last"):
            if data[name] is None or not 2000 <= data[name].year <= 2100:
                self.add_error(name, ValidationError(_("Enter a date between 2000 and 2100.")))
        if not self.errors and not 0 <= (last - first).days < MAX_DAYS:
            self.add_error(
                "last",
                ValidationError(_("The last day must not be before the first day or more than a year after it.")),
            )
        return data

    def read(self, *, default: str = DEFAULT) -> tuple[str, Period | None]:
        """The choice and the period (None: all time); the default if the address is invalid."""
        choice = self.cleaned_data["period"] if self.is_valid() else default
        if choice == ALL and default != ALL:
            choice = ""
        choice = choice or default
        if choice == ALL:
            return choice, None
        if choice == CUSTOM:
            return choice, Period(self.cleaned_data["first"], self.cleaned_data["last"])
        number = 1 if choice == "today" else int(choice)
        return choice, Period(localdate() - (number - 1) * _DAY, localdate())


def between(rows: QuerySet[M], since: datetime, until: datetime) -> QuerySet[M]:
    """The rows of these hours."""
    return rows.filter(hour__gte=since, hour__lt=until)
