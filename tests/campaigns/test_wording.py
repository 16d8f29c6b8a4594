from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
import time_machine

from campaigns.gateways.base import Trouble
from campaigns.models import Campaign
from campaigns.wording import moment_words, plan_words, reason_words, width_words

NOON = datetime(2026, 11, 24, 9, tzinfo=UTC)  # a Tuesday, 12:00 in Moscow
DAY = timedelta(days=1)


def plan(**fields: Any) -> str:
    times = {"starts_at": NOON + timedelta(hours=1), "ends_at": NOON + timedelta(days=2), "status": "scheduled"}
    with time_machine.travel(NOON, tick=False):
        return plan_words(Campaign(**{**times, **fields}))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "Starts today 13:00, until Thu 26 Nov 12:00."),
        ({"starts_at": NOON - timedelta(hours=1)}, "Starts at once, until Thu 26 Nov 12:00."),
        ({"status": "draft"}, "Would start today 13:00, until Thu 26 Nov 12:00."),
        ({"status": "draft", "starts_at": NOON}, "Would start at once, until Thu 26 Nov 12:00."),
        ({"status": "running", "starts_at": NOON - DAY}, "Started yesterday 12:00, until Thu 26 Nov 12:00."),
        ({"status": "cancelled"}, "Was to start today 13:00, until Thu 26 Nov 12:00."),
        (
            {"status": "finished", "starts_at": NOON - timedelta(hours=2), "finished_at": NOON},
            "Started today 10:00, finished today 12:00.",
        ),
        ({"local_time": True}, "Starts today 13:00 in each contact’s own time, until Thu 26 Nov 12:00."),
        ({"repeat": "weekly"}, "Starts today 13:00, again every week, until Thu 26 Nov 12:00."),
        ({"rate_limit": 0.5}, "Starts today 13:00, at most 0.5 a second, until Thu 26 Nov 12:00."),
        (
            {"window_start": time(9), "window_end": time(21)},
            "Starts today 13:00, only 09:00–21:00 of their day, until Thu 26 Nov 12:00.",
        ),
    ],
)
def test_a_plan_is_one_sentence(fields: dict[str, Any], sentence: str) -> None:
    assert plan(**fields) == sentence


@pytest.mark.parametrize(
    ("days", "words"), [(0, "today 12:00"), (1, "tomorrow 12:00"), (-1, "yesterday 12:00"), (60, "23 Jan 2027 12:00")]
)
def test_moments_are_told_as_people_do(days: int, words: str) -> None:
    with time_machine.travel(NOON, tick=False):
        assert moment_words(NOON + timedelta(days=days)) == words


def test_every_trouble_has_words() -> None:
    assert all("nobody expected" not in reason_words(trouble) for trouble in Trouble)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("http_400", "Refused by the gateway (400)"),
        ("http_502", "The gateway had an error of its own (502)"),
        ("http_302", "An answer that nobody expected: http_302"),
        ("", ""),
    ],
)
def test_reasons_are_told_in_words(code: str, words: str) -> None:
    assert reason_words(code) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello", ""),
        ("Привет", "because of Cyrillic"),
        ("“Hi” — ok", "because of “ ” —"),
        ("①②③④⑤⑥⑦⑧⑨", "because of ① ② ③ ④ ⑤ ⑥ ⑦ ⑧ …"),
    ],
)
def test_what_makes_a_text_wide_is_named(text: str, words: str) -> None:
    assert width_words(text) == words
