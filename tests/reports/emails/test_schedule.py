"""When reports are due, in the users' time zones."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
import time_machine
from pytest_django import Settings

from reports.emails.schedule import bounds, due_at, latest_due, plan
from reports.models import Report, ReportFrequency
from tests import factories

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("zone", "day", "moment"),
    [
        ("Asia/Kamchatka", date(2026, 11, 23), datetime(2026, 11, 23, 20, tzinfo=UTC)),  # UTC+12
        ("America/Los_Angeles", date(2026, 11, 23), datetime(2026, 11, 24, 16, tzinfo=UTC)),  # UTC−8
        ("America/Los_Angeles", date(2026, 3, 7), datetime(2026, 3, 8, 15, tzinfo=UTC)),  # forward that night
        ("America/Los_Angeles", date(2026, 10, 31), datetime(2026, 11, 1, 16, tzinfo=UTC)),  # back that night
        ("Pacific/Auckland", date(2026, 9, 26), datetime(2026, 9, 26, 19, tzinfo=UTC)),  # forward, to UTC+13
        ("Pacific/Auckland", date(2026, 4, 4), datetime(2026, 4, 4, 20, tzinfo=UTC)),  # back, to UTC+12
    ],
)
def test_reports_are_due_at_eight_in_the_users_zone(db: None, zone: str, day: date, moment: datetime) -> None:
    user = factories.user(timezone=zone, date_joined=datetime(2026, 1, 1, tzinfo=UTC))
    assert due_at(day, zone) == moment
    with time_machine.travel(moment - timedelta(seconds=1), tick=False):
        plan()
        assert not Report.objects.filter(user=user, day=day).exists()
    with time_machine.travel(moment, tick=False):
        assert plan() == 1
        assert plan() == 0
        assert Report.objects.filter(user=user, day=day).count() == 1


@pytest.mark.parametrize("clock", ["00:00", "01:30", "02:30", "03:00", "23:59"])
@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Pacific/Auckland", "Asia/Kamchatka", "Europe/Berlin"])
def test_each_day_of_a_year_has_one_report_at_any_hour(settings: Settings, zone: str, clock: str) -> None:
    settings.DAILY_REPORT_AT = time.fromisoformat(clock)
    moment, found = datetime(2026, 1, 2, tzinfo=UTC), []
    while moment < datetime(2027, 1, 1, tzinfo=UTC):
        found.append(latest_due(ReportFrequency.DAILY, zone, moment))
        moment += HOUR
    days = sorted(set(found))
    assert found == sorted(found)
    assert len(days) == (days[-1] - days[0]).days + 1


def test_days_of_clock_changes_have_23_and_25_hours() -> None:
    lengths = {
        day: bounds(ReportFrequency.DAILY, day, "America/Los_Angeles") for day in (date(2026, 3, 8), date(2026, 11, 1))
    }
    assert [until - since for since, until in lengths.values()] == [23 * HOUR, 25 * HOUR]


def test_a_week_ends_on_sunday_and_is_due_on_monday() -> None:
    monday = datetime(2026, 11, 23, 5, tzinfo=UTC)  # 08:00 in Moscow
    assert latest_due(ReportFrequency.WEEKLY, "Europe/Moscow", monday) == date(2026, 11, 22)
    assert latest_due(ReportFrequency.WEEKLY, "Europe/Moscow", monday - timedelta(seconds=1)) == date(2026, 11, 15)
    assert latest_due(ReportFrequency.WEEKLY, "Europe/Moscow", monday + timedelta(days=6)) == date(2026, 11, 22)
    since, until = bounds(ReportFrequency.WEEKLY, date(2026, 11, 22), "Europe/Moscow")
    assert (since, until - since) == (datetime(2026, 11, 15, 21, tzinfo=UTC), timedelta(days=7))


@time_machine.travel(datetime(2026, 11, 23, 12, tzinfo=UTC), tick=False)
def test_only_subscribers_get_a_report(db: None) -> None:
    long_ago = datetime(2026, 1, 1, tzinfo=UTC)
    factories.user("gone@example.org", is_active=False, date_joined=long_ago)
    factories.user("none@example.org", daily_report=False, date_joined=long_ago)
    factories.user("new@example.org")
    factories.user("both@example.org", weekly_report=True, date_joined=long_ago)
    plan()
    rows = Report.objects.order_by("frequency").values_list("user__email", "frequency", "day")
    assert list(rows) == [
        ("both@example.org", "daily", date(2026, 11, 22)),
        ("both@example.org", "weekly", date(2026, 11, 22)),
    ]


@time_machine.travel(datetime(2026, 11, 23, 12, tzinfo=UTC), tick=False)
def test_a_change_of_zone_makes_no_second_report(db: None) -> None:
    user = factories.user(timezone="Asia/Kamchatka", date_joined=datetime(2026, 1, 1, tzinfo=UTC))
    plan()
    user.timezone = "Europe/Moscow"
    user.save()
    plan()
    assert Report.objects.count() == 1
