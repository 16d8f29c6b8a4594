"""Bar charts for an inline SVG: pure arithmetic; templates/campaigns/chart.html draws them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Final

from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from campaigns.models import RunMinute

HEIGHT: Final = 150
_LEFT, _TOP, _BOTTOM = 44, 8, 20
_FLOOR: Final = HEIGHT - _BOTTOM
_LABEL_WIDTH = 44
_LABEL_PITCH = 80
_CHARACTER_WIDTH = 7
_WIDE, _NARROW = 960, 340
_MAX_BARS: Final = 40
_MIN_BARS: Final = 12
_STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440)
_MAX_GAP: Final = timedelta(hours=1)


@dataclass(frozen=True)
class Point:
    """The figures of one bar; `label` is for the axis, `title` is a sentence."""

    label: str
    title: str
    good: int
    bad: int = 0


@dataclass(frozen=True)
class Bar:
    """Two rectangles: successes below failures."""

    x: float
    width: float
    good_y: int
    good_height: int
    bad_y: int
    bad_height: int
    title: str


@dataclass(frozen=True)
class Chart:
    """Everything that the SVG needs; `points` are the text alternative."""

    width: int
    bars: list[Bar]
    lines: list[tuple[int, int]]
    """The y position of each grid line, and its value."""
    ticks: list[tuple[float, str]]
    points: Sequence[Point]
    height: int = HEIGHT
    left: int = _LEFT
    floor: int = _FLOOR


def chart_of(points: Sequence[Point], width: int = 250) -> Chart | None:
    """A chart of these bars, or None if all of them are zero."""
    highest = max((point.good + point.bad for point in points), default=0)
    if not highest:
        return None
    top = _round_up(highest)
    pitch = (width - _LEFT) / max(len(points), _MIN_BARS)
    bar_width = round(max(2.0, pitch * 0.72), 1)
    bars = [_bar(point, round(_LEFT + index * pitch, 1), bar_width, top) for index, point in enumerate(points)]
    label_step = max(ceil(len(points) * _LABEL_PITCH / width), ceil(_LABEL_WIDTH / pitch))
    labels = [(bars[index].x, points[index].label) for index in range(0, len(points), label_step)]
    ticks = [(x, label) for x, label in labels if x + len(label) * _CHARACTER_WIDTH <= width]
    values = sorted({0, top // 2, top}) if top > 1 else [0, 1]
    return Chart(width, bars, [(_FLOOR - _scaled(value, top), value) for value in values], ticks, points)


def both_widths(points: Sequence[Point]) -> dict[str, Chart | None]:
    """The chart in two widths, for screens and phones, so that its text stays readable."""
    return {"wide": chart_of(points, _WIDE), "narrow": chart_of(points, _NARROW)}


def per_minute(minutes: Sequence[RunMinute], *, until: datetime | None = None) -> Chart | None:
    """Messages per minute over the last day of activity, extended to `until` unless that is much later."""
    if not minutes:
        return None
    last = minutes[-1].minute
    first = max(minutes[0].minute, last - timedelta(days=1))
    if until and until - last < _MAX_GAP:
        last = max(last, until)
    step = next((step for step in _STEPS if (last - first) / timedelta(minutes=step) < _MAX_BARS), _STEPS[-1])
    sent: Counter[int] = Counter()
    failed: Counter[int] = Counter()
    for row in minutes:
        if row.minute >= first:
            bucket = (row.minute - first) // timedelta(minutes=step)
            sent[bucket] += row.sent
            failed[bucket] += row.failed
    number = (last - first) // timedelta(minutes=step) + 1
    return chart_of(
        [_minute(first + index * timedelta(minutes=step), sent[index], failed[index], step) for index in range(number)]
    )


def _minute(moment: datetime, sent: int, failed: int, step: int) -> Point:
    """The mean of `step` minutes, rounded up so that small numbers stay visible."""
    label = f"{localtime(moment):%H:%M}"
    good, bad = -(-sent // step), -(-failed // step)
    title = _("%(time)s: %(sent)d sent, %(failed)d failed per minute") % {"time": label, "sent": good, "failed": bad}
    return Point(label, title, good, bad)


def _bar(point: Point, x: float, width: float, top: int) -> Bar:
    good, bad = _scaled(point.good, top), _scaled(point.bad, top)
    return Bar(x, width, _FLOOR - good, good, _FLOOR - good - bad, bad, point.title)


def _scaled(value: int, top: int) -> int:
    """The height in pixels; at least 1 unless the value is zero."""
    return max(1, round(value * (_FLOOR - _TOP) / top)) if value else 0


def _round_up(value: int) -> int:
    """Round up to 1, 2, 4, 6, 8 or 10 times a power of ten, so that the half is round, too."""
    power: int = 10 ** (len(str(value)) - 1)
    return next(factor * power for factor in (1, 2, 4, 6, 8, 10) if factor * power >= value)
