"""The bars of report charts."""

from datetime import date, timedelta

from reports.analytics.breakdown import Figures
from reports.analytics.charts import figures_by_week

MONDAY = date(2026, 11, 16)


def test_long_periods_are_drawn_by_weeks_that_begin_on_monday() -> None:
    days = {MONDAY + number * timedelta(days=1): Figures(sent=1, failed=number == 8) for number in range(-1, 9)}
    chart = figures_by_week(days)["wide"]
    assert chart is not None
    assert [(point.label, point.good, point.bad) for point in chart.points] == [
        ("9 Nov", 1, 0),
        ("16 Nov", 7, 0),
        ("23 Nov", 2, 1),
    ]
    assert chart.points[1].title == "Week of 16 Nov: 7 sent, 0 failed"
