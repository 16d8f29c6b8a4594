from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
import time_machine

from campaigns.models import Campaign
from campaigns.pages.wording import moment_words, plan_words, width_words

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
        ({"starts_at": NOON - timedelta(hours=1)}, "Starts immediately, until Thu 26 Nov 12:00."),
        ({"status": "draft"}, "Will start today 13:00, until Thu 26 Nov 12:00."),
        ({"status": "draft", "starts_at": NOON}, "Will start immediately after launch, until Thu 26 Nov 12:00."),
        ({"status": "running", "starts_at": NOON - DAY}, "Started yesterday 12:00, until Thu 26 Nov 12:00."),
        ({"status": "cancelled"}, "Was scheduled to start today 13:00, until Thu 26 Nov 12:00."),
        (
            {"status": "finished", "starts_at": NOON - timedelta(hours=2), "finished_at": NOON},
            "Started today 10:00, finished today 12:00.",
        ),
        ({"local_time": True}, "Starts today 13:00 in each contact’s local time, until Thu 26 Nov 12:00."),
        ({"repeat": "weekly"}, "Starts today 13:00, repeats every week, until Thu 26 Nov 12:00."),
        ({"rate_limit": 0.5}, "Starts today 13:00, at most 0.5 per second, until Thu 26 Nov 12:00."),
        (
            {"window_start": time(9), "window_end": time(21)},
            "Starts today 13:00, only 09:00–21:00 local time, until Thu 26 Nov 12:00.",
        ),
    ],
)
def test_a_plan_is_one_sentence(fields: dict[str, Any], sentence: str) -> None:
    assert plan(**fields) == sentence


@pytest.mark.parametrize(
    ("days", "words"), [(0, "today 12:00"), (1, "tomorrow 12:00"), (-1, "yesterday 12:00"), (60, "23 Jan 2027 12:00")]
)
def test_moments_are_shown_relative_to_today(days: int, words: str) -> None:
    with time_machine.travel(NOON, tick=False):
        assert moment_words(NOON + timedelta(days=days)) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello", ""),
        ("Привет", "because of Cyrillic"),
        ("“Hi” — ok", "because of “ ” —"),
        ("“a\u00a0b”", "because of “ ” and a no-break space"),
        ("a\u00a0b\u200bc\ufeff", "because of a no-break space and an invisible character"),
        ("①②③④⑤⑥⑦⑧⑨", "because of ① ② ③ ④ ⑤ ⑥ ⑦ ⑧ …"),
    ],
)
def test_characters_that_force_ucs2_are_named(text: str, words: str) -> None:
    assert width_words(text) == words
