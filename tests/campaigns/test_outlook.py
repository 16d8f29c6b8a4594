"""What the composer says of a campaign before it is launched."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
import time_machine

from accounts.models import User
from campaigns.counters import count_minute
from campaigns.models import Campaign
from campaigns.outlook import Outlook, outlook_of
from directory.audience import Audience
from tests import factories
from tests.campaigns.outcomes import started

NOON = datetime(2026, 11, 24, 9, tzinfo=UTC)  # a Tuesday, 12:00 in Moscow
HOUR, DAY = timedelta(hours=1), timedelta(days=1)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock() -> Any:
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


def outlook(**fields: Any) -> Outlook:
    defaults = {"text": "Hi", "status": "scheduled", "timezone": "Europe/Moscow", "repeat": "once"}
    times = {"starts_at": NOON, "ends_at": NOON + 2 * DAY, "audience": Audience().to_json()}
    return outlook_of(Campaign(**{**defaults, **times, **fields}))


def cautions(**fields: Any) -> list[str]:
    return [caution.text for caution in outlook(**fields).cautions]


def test_all_is_well(alice: User) -> None:
    factories.contact(alice, timezone="Europe/Moscow", phone=79031112233)
    factories.contact(alice, timezone="Asia/Omsk", phone=79031112234)
    factories.contact(alice, timezone="Asia/Omsk", phone=79991112235, opted_out=True)
    found = outlook()
    assert (found.cautions, found.barred, found.details) == ([], False, "")
    assert (found.spread.number, found.spread.opted_out, found.spread.operators) == (2, 1, [("903", 2)])
    assert sorted(found.spread.zones) == [("Asia/Omsk", 1), ("Europe/Moscow", 1)]
    assert found.plan == "Starts at once, until Thu 26 Nov 12:00."


def test_in_local_time_it_goes_from_zone_to_zone(alice: User) -> None:
    for zone in ("Europe/Kaliningrad", "Asia/Kamchatka", "Europe/Moscow"):
        factories.contact(alice, timezone=zone)
    found = outlook(local_time=True, starts_at=NOON + DAY, rate_limit=1)
    assert found.details.startswith("From Kamchatka (tomorrow 03:00) to Kaliningrad (tomorrow 13:00).")
    assert "Sending takes about 3 s at 60 a minute; the last message leaves about tomorrow 13:00." in found.details


def test_the_rate_is_that_of_the_best_whole_minute_lately(alice: User) -> None:
    for _ in range(2):
        factories.contact(alice)
    _campaign, run = started(alice)
    for minute, sent in enumerate((900, 600, 30)):  # the first and the last may not have been used up
        count_minute(run.pk, NOON + minute * timedelta(minutes=1), sent=sent, failed=0, retried=0)
    assert "at 600 a minute" in outlook(text="Other").details
    assert "at 30 a minute" in outlook(text="Other", rate_limit=0.5).details


@pytest.mark.parametrize(
    ("fields", "said", "barred"),
    [
        ({"ends_at": NOON}, "The end must come after the start.", True),
        ({"starts_at": NOON - DAY, "ends_at": NOON - HOUR}, "The end has passed already.", True),
        ({"starts_at": NOON - HOUR}, "The start has passed, so it begins as soon as it is launched.", False),
        (
            {"window_start": time(9), "window_end": time(10), "ends_at": NOON + HOUR},
            "1 contact gets nothing, for its hours don’t begin before the end: Moscow.",
            False,
        ),
        (
            {"rate_limit": 0.01, "ends_at": NOON + timedelta(seconds=10)},
            "At this rate about 1 message",
            False,
        ),
        ({"audience": Audience(tags=("gone",)).to_json()}, "Nobody matches this audience now.", False),
        ({"text": "{first_name}"}, "None of these contacts has {first_name} and will read nothing there.", False),
        ({"text": "{nick|friend}"}, "None of these contacts has {nick} and will read “friend”.", False),
        ({"text": "a" * 100 + "🎉"}, "Without 🎉 it would take 1 part instead of 2.", False),
    ],
)
def test_what_may_go_wrong_is_told_beforehand(alice: User, fields: dict[str, Any], said: str, barred: bool) -> None:
    factories.contact(alice, timezone="Europe/Moscow")
    found = outlook(**fields)
    assert [caution.text[: len(said)] for caution in found.cautions] == [said]
    assert found.barred == barred


def test_a_twin_is_named_and_bars_the_launch(alice: User) -> None:
    factories.contact(alice)
    twin = factories.campaign(alice, text="Same")
    found = outlook(text="Same")
    assert ([caution.twin for caution in found.cautions], found.barred) == ([twin], True)
    assert not outlook_of(twin).barred
    twin.status = "finished"
    twin.save()
    assert not outlook(text="Same").cautions


def test_how_many_have_no_name_is_told(alice: User) -> None:
    for name in ("Анна", "", ""):
        factories.contact(alice, first_name=name)
    assert cautions(text="{first_name|друг}") == ["2 contacts have no {first_name} and will read “друг”."]


def test_the_spread_is_counted_anew_when_a_contact_has_changed(alice: User) -> None:
    contact = factories.contact(alice)
    assert outlook().spread.number == 1
    contact.is_active = False
    with time_machine.travel(NOON + HOUR, tick=False):
        contact.save()
        assert outlook().spread.number == 0


def test_half_written_times_stop_nothing(alice: User) -> None:
    found = outlook(starts_at=None, ends_at=None, repeat=None)
    assert (found.plan, found.details) == ("", "")
