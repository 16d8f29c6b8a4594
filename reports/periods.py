"""The days that a report tells of: chosen in the page's address, and compared with as many days before."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.utils.timezone import get_current_timezone, localdate, now
from django.utils.translation import gettext_lazy as _

from directory.forms import Day

OWN, ALL = "own", "all"
CHOICES: Final = {
    "today": _("Today"),
    "7": _("7 days"),
    "30": _("30 days"),
    "90": _("90 days"),
    OWN: _("Own dates"),
}
EVER: Final = _("All time")
DEFAULT: Final = "30"
LONGEST: Final = 366
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class Period:
    """Whole days of the reader's zone, both ends included; of today, what there is of it."""

    first: date
    last: date

    @property
    def since(self) -> datetime:
        """The moment when it begins."""
        return datetime.combine(self.first, time(), get_current_timezone())

    @property
    def until(self) -> datetime:
        """The moment before which it ends."""
        return datetime.combine(self.last + _DAY, time(), get_current_timezone())

    @property
    def days(self) -> list[date]:
        """Its days, in their order."""
        return [self.first + number * _DAY for number in range((self.last - self.first).days + 1)]

    def before(self) -> tuple[datetime, datetime]:
        """As many days before it, up to the same hour where it is not over yet."""
        length = len(self.days) * _DAY
        return self.since - length, min(self.until, now()) - length


class PeriodForm(forms.Form):
    """Which period the address asks for."""

    period = forms.ChoiceField(required=False, choices=[*CHOICES.items(), (ALL, EVER)])
    first = forms.DateField(label=_("From"), required=False, widget=Day())
    last = forms.DateField(label=_("To"), required=False, widget=Day())

    def clean(self) -> dict[str, Any]:
        """Own dates need both ends, in their order, and no more than a year."""
        told = super().clean() or {}
        if told.get("period") != OWN or self.errors:
            return told
        first, last = told["first"], told["last"]
        for name in ("first", "last"):
            if told[name] is None or not 2000 <= told[name].year <= 2100:
                self.add_error(name, ValidationError(_("A day between 2000 and 2100.")))
        if not self.errors and not 0 <= (last - first).days < LONGEST:
            self.add_error("last", ValidationError(_("Not before the first day, and within a year of it.")))
        return told

    def read(self, *, default: str = DEFAULT) -> tuple[str, Period | None]:
        """The choice and the period, None for all time; the default where the address can't be understood."""
        choice = self.cleaned_data["period"] if self.is_valid() else default
        if choice == ALL and default != ALL:
            choice = ""
        choice = choice or default
        if choice == ALL:
            return choice, None
        if choice == OWN:
            return choice, Period(self.cleaned_data["first"], self.cleaned_data["last"])
        number = 1 if choice == "today" else int(choice)
        return choice, Period(localdate() - (number - 1) * _DAY, localdate())
