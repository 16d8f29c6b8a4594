from datetime import UTC, datetime, timedelta

from campaigns.models import RunMinute
from campaigns.pages.charts import Point, chart_of, per_minute

TEN = datetime(2026, 11, 24, 7, tzinfo=UTC)  # 10:00 in Moscow


def minutes(*numbers: int, every: timedelta = timedelta(minutes=1)) -> list[RunMinute]:
    return [RunMinute(minute=TEN + index * every, sent=number) for index, number in enumerate(numbers)]


def test_no_data_makes_no_chart() -> None:
    assert per_minute([]) is None
    assert chart_of([Point("a", "a", 0)]) is None


def test_bars_stand_on_the_floor_and_failures_on_top_of_them() -> None:
    chart = chart_of([Point("a", "a", 50, 50), Point("b", "b", 100)])
    assert chart is not None
    first, second = chart.bars
    assert first.good_y + first.good_height == chart.floor
    assert first.bad_y + first.bad_height == first.good_y
    assert first.good_height + first.bad_height == second.good_height
    assert [value for _y, value in chart.lines] == [0, 50, 100]


def test_even_one_of_a_million_is_visible() -> None:
    chart = chart_of([Point("a", "a", 1_000_000, 1)])
    assert chart is not None
    assert chart.bars[0].bad_height == 1


def test_quiet_minutes_are_bars_too() -> None:
    chart = per_minute(minutes(5, 7, every=timedelta(minutes=3)))
    assert chart is not None
    assert [point.good for point in chart.points] == [5, 0, 0, 7]
    assert chart.points[0].label == "10:00"


def test_a_long_run_is_drawn_as_means_of_longer_steps() -> None:
    chart = per_minute(minutes(*[10] * 200))
    assert chart is not None
    assert len(chart.points) <= 40
    assert {point.good for point in chart.points} == {10}


def test_only_the_last_day_is_drawn_of_an_older_run() -> None:
    chart = per_minute(minutes(1, 1, 1, every=timedelta(hours=20)))
    assert chart is not None
    assert sum(point.good > 0 for point in chart.points) == 2


def test_an_active_run_is_drawn_until_now_but_not_for_days() -> None:
    row = minutes(5)
    soon, late = (per_minute(row, until=TEN + timedelta(minutes=after)) for after in (9, 3000))
    assert soon is not None
    assert late is not None
    assert (len(soon.points), len(late.points)) == (10, 1)


def test_a_label_without_room_at_the_right_is_omitted() -> None:
    chart = chart_of([Point(f"{day} Nov", "a", 1) for day in range(1, 90)], 960)
    assert chart is not None
    x, label = chart.ticks[-1]
    assert x + len(label) * 7 <= 960
    assert len(chart.points) == 89
