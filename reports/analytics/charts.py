"""Charts of figures."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date, timedelta

from django.utils.formats import date_format
from django.utils.translation import gettext as _

from campaigns.pages.charts import Chart, Point, both_widths
from project.core.numbers import number
from reports.analytics.breakdown import Figures, sum_of

Charts = dict[str, Chart | None]


def by_day(days: Iterable[tuple[date, int, int]]) -> Charts:
    """A bar for each day: how many were accepted, and how many failed."""
    return both_widths([_point(date_format(day, _("j M")), sent, failed) for day, sent, failed in days])


def figures_by_day(days: Mapping[date, Figures]) -> Charts:
    """A bar for each day, from a report's figures."""
    return by_day((day, figures.accepted, figures.failed) for day, figures in days.items())


def figures_by_week(days: Mapping[date, Figures]) -> Charts:
    """A bar for each week, for periods with many days; the first and the last week may be partial."""
    weeks: dict[date, list[Figures]] = defaultdict(list)
    for day, figures in days.items():
        weeks[day - timedelta(days=day.weekday())].append(figures)
    return both_widths([_week(monday, sum_of(rows)) for monday, rows in weeks.items()])


def _week(monday: date, figures: Figures) -> Point:
    label = date_format(monday, _("j M"))
    point = _point(label, figures.accepted, figures.failed)
    return replace(point, title=_("Week of %(title)s") % {"title": point.title})


def by_hour(hours: Iterable[tuple[int, int, int]]) -> Charts:
    """A bar for each hour of the day: how many were accepted, and how many failed."""
    return both_widths([_point(f"{hour:02}:00", sent, failed) for hour, sent, failed in hours])


def figures_by_hour(figures: Iterable[Figures]) -> Charts:
    """A bar for each hour of the day, from a report's figures."""
    return by_hour((hour, row.accepted, row.failed) for hour, row in enumerate(figures))


def _point(label: str, sent: int, failed: int) -> Point:
    values = {"when": label, "sent": number(sent), "failed": number(failed)}
    return Point(label, _("%(when)s: %(sent)s sent, %(failed)s failed") % values, sent, failed)
