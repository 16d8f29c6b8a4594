from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.planning.recurrence import (
    Window,
    at_wall,
    due_at,
    is_open,
    local_start,
    next_closing,
    next_opening,
    occurrences,
)

BERLIN, NEW_YORK, MOSCOW = "Europe/Berlin", "America/New_York", "Europe/Moscow"
KALININGRAD, KAMCHATKA = "Europe/Kaliningrad", "Asia/Kamchatka"
# In 2026 Berlin's clocks go 29 March 01:59 → 03:00 and 25 October 02:59 → 02:00; New York's 8 March and 1 November.
CHANGES = {
    BERLIN: [date(2026, 3, 29), date(2026, 10, 25)],
    NEW_YORK: [date(2026, 3, 8), date(2026, 11, 1)],
    "Australia/Lord_Howe": [date(2026, 4, 5), date(2026, 10, 4)],  # by half an hour
    "America/Santiago": [date(2026, 4, 4), date(2026, 9, 6)],  # at midnight
}
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
# Any second of the years in which campaigns may run.
moments = st.integers(0, 100 * 365 * 24 * 3600).map(lambda seconds: datetime(2000, 1, 1, tzinfo=UTC) + seconds * SECOND)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def local(text: str, zone: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def window(text: str) -> Window:
    opens, closes = text.split("–")
    return time.fromisoformat(opens), time.fromisoformat(closes)


def starts(starts_at: datetime, repeat: str, zone: str, number: int) -> list[str]:
    """The first occurrences, as clocks in `zone` show them."""
    found = islice(occurrences(starts_at, repeat, zone), number)
    return [f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}" for moment in found]


class TestAtWall:
    def test_a_skipped_time_is_moved_behind_the_change(self) -> None:
        assert at_wall(date(2026, 3, 29), time(2, 30), BERLIN) == local("2026-03-29T03:30", BERLIN)
        assert at_wall(date(2026, 3, 8), time(2, 15), NEW_YORK) == local("2026-03-08T03:15", NEW_YORK)

    def test_a_repeated_time_is_the_first_by_default(self) -> None:
        assert at_wall(date(2026, 10, 25), time(2, 30), BERLIN) == utc("2026-10-25T00:30")
        assert at_wall(date(2026, 10, 25), time(2, 30), BERLIN, second_time=True) == utc("2026-10-25T01:30")
        assert at_wall(date(2026, 11, 1), time(1, 30), NEW_YORK) == utc("2026-11-01T05:30")

    def test_moscow_never_changes_its_clocks(self) -> None:
        for month in (1, 7):
            assert at_wall(date(2026, month, 1), time(9), MOSCOW) == utc(f"2026-0{month}-01T06:00")


class TestOccurrences:
    def test_once_is_once(self) -> None:
        assert list(occurrences(utc("2026-01-31T09:00"), "once", MOSCOW)) == [utc("2026-01-31T09:00")]

    def test_daily_keeps_the_wall_clock_over_both_changes(self) -> None:
        spring = starts(local("2026-03-28T02:30", BERLIN), "daily", BERLIN, 3)
        assert spring == ["2026-03-28 02:30", "2026-03-29 03:30", "2026-03-30 02:30"]
        autumn = list(islice(occurrences(local("2026-10-24T02:30", BERLIN), "daily", BERLIN), 3))
        assert [second - first for first, second in pairwise(autumn)] == [timedelta(hours=24), timedelta(hours=25)]

    def test_a_start_within_the_repeated_hour_is_kept(self) -> None:
        second = utc("2026-10-25T01:30")
        assert next(occurrences(second, "daily", BERLIN)) == second
        assert starts(second, "daily", BERLIN, 2)[1] == "2026-10-26 02:30"

    def test_weekly_keeps_the_day_of_the_week(self) -> None:
        found = starts(local("2026-12-29T10:00", NEW_YORK), "weekly", NEW_YORK, 3)
        assert found == ["2026-12-29 10:00", "2027-01-05 10:00", "2027-01-12 10:00"]

    def test_monthly_clamps_to_the_end_of_short_months(self) -> None:
        found = starts(local("2027-12-31T10:00", MOSCOW), "monthly", MOSCOW, 6)
        assert found == [
            "2027-12-31 10:00",
            "2028-01-31 10:00",
            "2028-02-29 10:00",
            "2028-03-31 10:00",
            "2028-04-30 10:00",
            "2028-05-31 10:00",
        ]

    def test_the_day_is_that_of_the_zone_not_of_utc(self) -> None:
        late = local("2026-01-31T01:00", KAMCHATKA)
        assert late.day == 30
        assert starts(late, "monthly", KAMCHATKA, 2) == ["2026-01-31 01:00", "2026-02-28 01:00"]

    @given(
        moments,
        st.sampled_from(["daily", "weekly", "monthly"]),
        st.sampled_from([*CHANGES, MOSCOW, "Pacific/Kiritimati"]),
    )
    def test_they_always_advance(self, starts_at: datetime, repeat: str, zone: str) -> None:
        found = list(islice(occurrences(starts_at, repeat, zone), 40))
        least = {"daily": 22, "weekly": 7 * 24 - 2, "monthly": 28 * 24 - 2}[repeat]
        assert all(second - first >= timedelta(hours=least) for first, second in pairwise(found))


class TestLocalStart:
    def test_the_east_comes_first(self) -> None:
        planned = local("2026-06-01T10:00", MOSCOW)
        assert local_start(planned, planned, MOSCOW, KAMCHATKA) == planned - timedelta(hours=9)
        assert local_start(planned, planned, MOSCOW, KALININGRAD) == planned + timedelta(hours=1)

    def test_the_most_distant_zones_are_26_hours_apart(self) -> None:
        planned = local("2026-06-01T00:30", MOSCOW)
        first = local_start(planned, planned, MOSCOW, "Pacific/Kiritimati")
        last = local_start(planned, planned, MOSCOW, "Etc/GMT+12")
        assert (first, last) == (utc("2026-05-31T10:30"), utc("2026-06-01T12:30"))

    def test_a_contact_in_a_skipped_hour_gets_the_message_after_it(self) -> None:
        planned = local("2026-03-29T02:30", MOSCOW)
        assert local_start(planned, planned, MOSCOW, BERLIN) == local("2026-03-29T03:30", BERLIN)

    def test_an_hour_skipped_in_the_campaigns_zone_exists_elsewhere(self) -> None:
        first = local("2026-03-28T02:30", BERLIN)
        _, second = islice(occurrences(first, "daily", BERLIN), 2)
        assert local_start(first, second, BERLIN, MOSCOW) == local("2026-03-29T02:30", MOSCOW)
        assert local_start(first, second, BERLIN, BERLIN) == second == local("2026-03-29T03:30", BERLIN)

    @given(moments, st.sampled_from([*CHANGES]))
    def test_in_the_campaigns_own_zone_nothing_moves(self, planned: datetime, zone: str) -> None:
        assert local_start(planned, planned, zone, zone) == planned

    def test_the_second_of_a_repeated_hour_is_kept(self) -> None:
        second = utc("2026-10-25T01:30")
        assert local_start(second, second, BERLIN, BERLIN) == second
        assert local_start(second, second, BERLIN, "Europe/Paris") == second


class TestIsOpen:
    @pytest.mark.parametrize(
        ("hours", "clock", "expected"),
        [
            ("09:00–21:00", "08:59:59.999999", False),
            ("09:00–21:00", "09:00", True),
            ("09:00–21:00", "20:59:59.999999", True),
            ("09:00–21:00", "21:00", False),
            ("22:00–06:00", "21:59", False),
            ("22:00–06:00", "22:00", True),
            ("22:00–06:00", "00:00", True),
            ("22:00–06:00", "05:59", True),
            ("22:00–06:00", "06:00", False),
            ("00:00–12:00", "00:00", True),
            ("12:00–00:00", "23:59", True),
            ("12:00–00:00", "00:00", False),
        ],
    )
    def test_the_start_is_inside_and_the_end_is_not(self, hours: str, clock: str, expected: bool) -> None:
        assert is_open(window(hours), local(f"2026-06-01T{clock}", KAMCHATKA), KAMCHATKA) is expected


class TestWindows:
    @pytest.mark.parametrize(
        ("hours", "moment", "expected"),
        [
            ("09:00–21:00", "2026-06-01T12:00", "2026-06-01T12:00"),
            ("09:00–21:00", "2026-06-01T03:00", "2026-06-01T09:00"),
            ("09:00–21:00", "2026-06-01T21:00", "2026-06-02T09:00"),
            ("22:00–06:00", "2026-06-01T12:00", "2026-06-01T22:00"),
            ("22:00–06:00", "2026-06-02T00:30", "2026-06-02T00:30"),
            ("09:00–21:00", "2026-03-28T22:00", "2026-03-29T09:00"),
            ("02:30–05:00", "2026-03-29T01:00", "2026-03-29T03:00"),  # the skipped hour holds the opening
            ("02:00–03:00", "2026-03-29T01:00", "2026-03-30T02:00"),  # … or all of the window
        ],
    )
    def test_it_opens(self, hours: str, moment: str, expected: str) -> None:
        assert next_opening(window(hours), local(moment, BERLIN), BERLIN) == local(expected, BERLIN)

    @pytest.mark.parametrize(
        ("hours", "moment", "expected"),
        [
            ("09:00–21:00", "2026-06-01T12:00", "2026-06-01T21:00"),
            ("22:00–06:00", "2026-06-01T23:00", "2026-06-02T06:00"),
            ("22:00–06:00", "2026-06-02T05:59", "2026-06-02T06:00"),
            ("22:00–02:30", "2026-03-29T01:45", "2026-03-29T03:00"),  # the skipped hour holds the closing
        ],
    )
    def test_it_closes(self, hours: str, moment: str, expected: str) -> None:
        assert next_closing(window(hours), local(moment, BERLIN), BERLIN) == local(expected, BERLIN)

    def test_clocks_put_back_close_a_window_that_opened_in_the_repeated_hour(self) -> None:
        hours, first = window("02:30–05:00"), utc("2026-10-25T00:45")
        assert next_closing(hours, first, BERLIN) == utc("2026-10-25T01:00")
        assert next_opening(hours, utc("2026-10-25T01:00"), BERLIN) == utc("2026-10-25T01:30")

    def test_a_window_that_ends_in_the_repeated_hour_opens_again(self) -> None:
        hours = window("22:00–02:30")
        assert next_closing(hours, utc("2026-10-25T00:00"), BERLIN) == utc("2026-10-25T00:30")
        assert next_opening(hours, utc("2026-10-25T00:30"), BERLIN) == utc("2026-10-25T01:00")


clocks = st.builds(lambda minutes: time(minutes // 60, minutes % 60), st.integers(0, 24 * 60 - 1))
windows = st.tuples(clocks, clocks).filter(lambda pair: pair[0] != pair[1])


@st.composite
def places(draw: st.DrawFn) -> tuple[str, datetime]:
    """A zone, and a minute near one of its changes or far from any."""
    zone = draw(st.sampled_from([*CHANGES, MOSCOW]))
    day = draw(st.sampled_from(CHANGES.get(zone, [date(2026, 6, 1)])))
    return zone, datetime.combine(day, time(), UTC) + draw(st.integers(-36 * 60, 36 * 60)) * MINUTE


def first_minute(hours: Window, moment: datetime, zone: str, wanted: bool) -> datetime:
    """Brute force: try every minute."""
    while is_open(hours, moment, zone) is not wanted:
        moment += MINUTE
    return moment


@given(windows, places())
def test_a_window_opens_in_its_first_open_minute(hours: Window, place: tuple[str, datetime]) -> None:
    zone, moment = place
    assert next_opening(hours, moment, zone) == first_minute(hours, moment, zone, True)


@given(windows, places())
def test_an_open_window_closes_in_its_first_closed_minute(hours: Window, place: tuple[str, datetime]) -> None:
    zone, moment = place
    opened = first_minute(hours, moment, zone, True)
    closes = next_closing(hours, opened, zone)
    assert closes > opened
    assert closes == first_minute(hours, opened, zone, False)


@given(windows, places(), st.integers(-5000, 5000), st.integers(0, 59_999_999))
def test_a_message_is_due_as_soon_as_it_may_be_sent(
    hours: Window, place: tuple[str, datetime], earlier: int, microseconds: int
) -> None:
    zone, start = place
    now = start + earlier * MINUTE + timedelta(microseconds=microseconds)
    due = due_at(start, hours, zone, now)
    assert due >= max(start, now)
    assert is_open(hours, due, zone)
    assert due == max(start, now) or not is_open(hours, due - timedelta(microseconds=1), zone)
    assert due_at(start, None, zone, now) == max(start, now)
