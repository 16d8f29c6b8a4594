"""Template tags and filters that are available on every page."""

from datetime import timedelta

import pytest
import time_machine
from django.template import Context, Template
from django.test import RequestFactory
from django.utils import timezone, translation
from django.utils.timezone import now

from campaigns.states import CampaignStatus, MessageStatus
from project.core.numbers import number
from project.templatetags import ago, percent

NOON = "2026-11-24T12:00:00+00:00"


def render(source: str, **context: object) -> str:
    return Template(source).render(Context(context))


@pytest.mark.parametrize(("value", "shown"), [(0, "0"), (999, "999"), (12304, "12 304"), (-1234567, "-1 234 567")])
def test_numbers_are_grouped_by_thin_spaces(value: int, shown: str) -> None:
    assert number(value) == shown.replace(" ", "\N{NARROW NO-BREAK SPACE}")


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [
        (0, 0, "—"),
        (0, 7, "0 %"),
        (8416, 12304, "68.4 %"),
        (9_999, 10_000, "99.9 %"),
        (1, 10_000, "< 0.1 %"),
        (7, 7, "100 %"),
    ],
)
def test_only_the_whole_is_a_hundred_per_cent(part: int, whole: int, shown: str) -> None:
    assert percent(part, whole) == shown.replace(" ", "\N{NARROW NO-BREAK SPACE}")


@time_machine.travel(NOON, tick=False)
@pytest.mark.parametrize(
    ("distance", "shown"),
    [
        (timedelta(0), "now"),
        (timedelta(seconds=2), "2 s ago"),
        (timedelta(minutes=59, seconds=59), "59 min ago"),
        (timedelta(hours=23), "23 h ago"),
        (timedelta(days=29), "29 d ago"),
        (timedelta(days=31), "24 Oct 2026"),
        (timedelta(minutes=-5), "in 5 min"),
    ],
)
def test_times_are_relative(distance: timedelta, shown: str) -> None:
    assert f">{shown}</time>" in ago(now() - distance)


@time_machine.travel(NOON, tick=False)
def test_exact_time_is_in_the_users_zone() -> None:
    with timezone.override("Asia/Vladivostok"):
        shown = ago(now() - timedelta(minutes=5))

    assert 'datetime="2026-11-24T21:55:00+10:00"' in shown
    assert 'title="24 Nov 2026, 21:55:00 +10"' in shown
    with translation.override("ru"):
        assert 'title="24 ноября 2026, 14:55:00 MSK"' in ago(now() - timedelta(minutes=5))


def test_no_time_is_a_dash() -> None:
    assert ago(None) == "—"


@pytest.mark.parametrize("status", [*CampaignStatus, *MessageStatus])
def test_every_state_has_a_badge_with_its_word(status: CampaignStatus | MessageStatus) -> None:
    shown = render("{% badge status %}", status=status.value)

    assert f">{status.label}</span>" in shown
    assert any(f'class="badge {tone}' in shown for tone in ("wait", "sent", "good", "warn", "bad"))


def test_badge_label_can_replace_the_state() -> None:
    shown = render('{% badge "retrying" label %}', label="Retrying at 10:26 <")

    assert shown.strip() == '<span class="badge warn">Retrying at 10:26 &lt;</span>'
    assert 'class="badge sent live"' in render('{% badge "running" %}')


@pytest.mark.parametrize(
    ("path", "address", "current"),
    [("/", "/", True), ("/contacts/", "/", False), ("/contacts/5/", "/contacts/", True), ("/", "/contacts/", False)],
)
def test_navigation_marks_the_current_page(path: str, address: str, current: bool) -> None:
    request = RequestFactory().get(path)

    shown = render("{% nav address 'house' 'Place' %}", request=request, address=address)

    assert f'href="{address}"' in shown
    assert ('aria-current="page"' in shown) is current
