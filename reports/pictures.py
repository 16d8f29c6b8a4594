"""Figures as charts: which bars they are, and what each says."""

from collections.abc import Iterable, Mapping
from datetime import date

from django.utils.formats import date_format
from django.utils.translation import gettext as _

from campaigns.charts import Chart, Point, both_widths
from project.numbers import number
from reports.breakdown import Figures

Charts = dict[str, Chart | None]


def by_day(days: Iterable[tuple[date, int, int]]) -> Charts:
    """A bar for each day: how many were accepted, and how many failed."""
    return both_widths([_point(date_format(day, _("j M")), sent, failed) for day, sent, failed in days])


def figures_by_day(days: Mapping[date, Figures]) -> Charts:
    """The same of a report."""
    return by_day((day, figures.accepted, figures.failed) for day, figures in days.items())


def by_hour(hours: Iterable[tuple[int, int, int]]) -> Charts:
    """A bar for each hour of the day: how many were accepted, and how many failed."""
    return both_widths([_point(f"{hour:02}:00", sent, failed) for hour, sent, failed in hours])


def figures_by_hour(figures: Iterable[Figures]) -> Charts:
    """The same of a report, from midnight on."""
    return by_hour((hour, row.accepted, row.failed) for hour, row in enumerate(figures))


def _point(label: str, sent: int, failed: int) -> Point:
    told = {"when": label, "sent": number(sent), "failed": number(failed)}
    return Point(label, _("%(when)s: %(sent)s sent, %(failed)s failed") % told, sent, failed)
