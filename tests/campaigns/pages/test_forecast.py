"""The composer's forecast."""

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine

from accounts.models import User
from campaigns.messages.transactional import message_send
from campaigns.metrics import GATEWAY_SECONDS
from campaigns.models import Campaign, Gateway, Message, Price, Run
from campaigns.pages.forecast import Forecast, forecast_of
from campaigns.pages.wording import plan_words
from campaigns.planning.recipients import freeze
from directory.audiences.audience import Audience
from directory.models import Contact
from project.observability.metrics import meters
from tests import factories
from tests.campaigns.outcomes import count_minute, started

NOON = datetime(2026, 11, 24, 9, tzinfo=UTC)  # a Tuesday, 12:00 in Moscow
HOUR, DAY = timedelta(hours=1), timedelta(days=1)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock() -> Any:
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


def forecast(**fields: Any) -> Forecast:
    defaults = {"text": "Hi", "status": "scheduled", "timezone": "Europe/Moscow", "repeat": "once"}
    times = {"starts_at": NOON, "ends_at": NOON + 2 * DAY, "audience": Audience().to_json()}
    return forecast_of(Campaign(**{**defaults, **times, **fields}))


def launch_warnings(**fields: Any) -> list[str]:
    return [warning.text for warning in forecast(**fields).launch_warnings]


def test_a_valid_campaign_has_no_warnings(alice: User) -> None:
    factories.contact(alice, timezone="Europe/Moscow", phone=79031112233)
    factories.contact(alice, timezone="Asia/Omsk", phone=79031112234)
    factories.contact(alice, timezone="Asia/Omsk", phone=79991112235, opted_out=True)
    found = forecast()
    assert (found.launch_warnings, found.launch_prevented, found.details) == ([], False, "")
    contacts = found.distribution
    assert (contacts.number, contacts.opted_out, contacts.operators) == (2, 1, [("903", 2)])
    assert sorted(contacts.zones) == [("Asia/Omsk", 1), ("Europe/Moscow", 1)]
    assert found.plan == "Starts immediately, until Thu 26 Nov 12:00."


def test_in_local_time_the_zones_are_listed(alice: User) -> None:
    for zone in ("Europe/Kaliningrad", "Asia/Kamchatka", "Europe/Moscow"):
        factories.contact(alice, timezone=zone)
    found = forecast(local_time=True, starts_at=NOON + DAY, rate_limit=1)
    assert found.details.startswith("From tomorrow 03:00 (Kamchatka) to tomorrow 13:00 (Kaliningrad).")
    assert "Sending takes about 3 s at 60 per minute; the last message is sent about tomorrow 13:00." in found.details


def test_low_past_throughput_is_not_used_as_rate(alice: User) -> None:
    factories.contact(alice)
    _campaign, run = started(alice)
    for minute in range(3):
        count_minute(run.pk, NOON + minute * timedelta(minutes=1), sent=4, failed=0, retried=0)
    assert forecast(text="Other").details == ""
    assert "at 30 per minute" in forecast(text="Other", rate_limit=0.5).details


def test_the_rate_follows_from_concurrency_and_latency(alice: User, settings: Any) -> None:
    settings.GATEWAY_CONCURRENCY = 5
    factories.contact(alice)
    GATEWAY_SECONDS.observe("probe", "sent", seconds=[0.5] * 19)
    meters.flush()
    assert forecast().details == ""  # too few requests for a mean
    GATEWAY_SECONDS.observe("probe", "sent", seconds=[0.5])
    meters.flush()
    assert "at 600 per minute" in forecast().details
    settings.GATEWAY_RATE = 1.0
    assert "at 60 per minute" in forecast().details


def test_a_late_start_is_shown_with_both_times(alice: User) -> None:
    campaign = factories.campaign(alice, starts_at=NOON - HOUR, ends_at=NOON + DAY)
    Run.objects.create(campaign=campaign, occurrence=campaign.starts_at)
    Campaign.objects.update(status="running")
    campaign.refresh_from_db()
    assert plan_words(campaign).startswith("Planned for today 11:00, started today 12:00, until")


NIGHT = datetime(2026, 11, 24, 22, 27, tzinfo=UTC)  # 01:27 in Moscow


def test_contacts_reached_at_night_are_shown(alice: User) -> None:
    for zone in ("Europe/Moscow", "Europe/Moscow", "America/New_York", "Nowhere/Gone"):
        Contact.objects.filter(pk=factories.contact(alice).pk).update(timezone=zone)
    with time_machine.travel(NIGHT, tick=False):
        times = {"starts_at": NIGHT, "ends_at": NIGHT + 2 * DAY}
        warned = [each for each in forecast(**times).launch_warnings if each.at_night]
        assert [each.text for each in warned] == [
            "2 contacts will get the message between 22:00 and 8:00 local time: Moscow."
        ]
        assert not any(
            each.at_night for each in forecast(**times, window_start=time(9), window_end=time(21)).launch_warnings
        )
        assert any(
            each.at_night for each in forecast(**times, window_start=time(0), window_end=time(9)).launch_warnings
        )


def test_contacts_reached_at_night_by_slow_sending_are_shown(alice: User) -> None:
    for _ in range(4):
        factories.contact(alice, timezone="Europe/Moscow")
    evening = {"starts_at": NOON.replace(hour=18, minute=58), "ends_at": NOON + 2 * DAY, "rate_limit": 0.01}
    warned = [each.text for each in forecast(**evening).launch_warnings if each.at_night]
    assert warned == ["3 contacts will get the message between 22:00 and 8:00 local time: Moscow."]
    assert not any(each.at_night for each in forecast(**{**evening, "rate_limit": 10}).launch_warnings)
    assert any(
        each.at_night
        for each in forecast(**{**evening, "window_start": time(7), "window_end": time(22)}).launch_warnings
    )


def test_quiet_hours_apply_to_campaigns_without_a_window(alice: User, settings: Any) -> None:
    settings.QUIET_HOURS = (time(21), time(9))
    zone = ZoneInfo("Europe/Moscow")
    factories.contact(alice, timezone="Europe/Moscow")
    with time_machine.travel(NIGHT, tick=False):
        _campaign, run = started(alice)
        freeze(run)
        message = Message.objects.get()
        assert message.due_at.astimezone(zone).strftime("%H:%M") == "09:00"
        own, own_run = started(alice, window=(time(0), time(5)))
        freeze(own_run)
        assert Message.objects.exclude(pk=message.pk).get().due_at == NIGHT
        assert own.window == (time(0), time(5))
        assert not any(each.at_night for each in forecast(starts_at=NIGHT, ends_at=NIGHT + DAY).launch_warnings)
        assert "only 09:00–21:00 local time" in forecast(starts_at=NIGHT, ends_at=NIGHT + DAY).plan
        sent = message_send(owner=alice, phone="79161234567", text="Code 1")
        assert sent.due_at == NIGHT
        assert sent.run.campaign.hours is None


@pytest.mark.parametrize(
    ("fields", "said", "launch_prevented"),
    [
        ({"ends_at": NOON}, "The end must be after the start.", True),
        ({"starts_at": NOON - DAY, "ends_at": NOON - HOUR}, "The end time has already passed.", True),
        (
            {"starts_at": NOON - HOUR},
            "The start time has passed, so the campaign starts as soon as you launch it.",
            False,
        ),
        (
            {"window_start": time(9), "window_end": time(10), "ends_at": NOON + HOUR},
            "1 contact will get no message because its sending hours begin after the campaign ends: Moscow.",
            False,
        ),
        (
            {"rate_limit": 0.01, "ends_at": NOON + timedelta(seconds=10)},
            "At this speed about 1 message",
            False,
        ),
        ({"audience": Audience(tags=("gone",)).to_json()}, "No contacts match this audience now.", False),
        ({"text": "{first_name}"}, "No contact has {first_name}; they will see nothing there.", False),
        ({"text": "{nick|friend}"}, "No contact has {nick}; they will see “friend”.", False),
    ],
)
def test_problems_are_shown_beforehand(alice: User, fields: dict[str, Any], said: str, launch_prevented: bool) -> None:
    factories.contact(alice, timezone="Europe/Moscow")
    found = forecast(**fields)
    assert [warning.text[: len(said)] for warning in found.launch_warnings] == [said]
    assert found.launch_prevented == launch_prevented


def test_a_duplicate_is_named_and_prevents_the_launch(alice: User) -> None:
    factories.contact(alice)
    duplicate = factories.campaign(alice, text="Same")
    found = forecast(text="Same", owner=alice)
    assert ([warning.duplicate for warning in found.launch_warnings], found.launch_prevented) == ([duplicate], True)
    assert not forecast_of(duplicate).launch_prevented
    duplicate.status = "finished"
    duplicate.save()
    assert not forecast(text="Same", owner=alice).launch_warnings


def test_the_number_of_contacts_without_name_is_shown(alice: User) -> None:
    for name in ("Анна", "", ""):
        factories.contact(alice, first_name=name)
    assert launch_warnings(text="{first_name|друг}") == ["2 contacts have no {first_name}; they will see “друг”."]


def test_the_spread_is_updated_after_a_change_of_a_contact(alice: User) -> None:
    contact = factories.contact(alice)
    assert forecast().distribution.number == 1
    contact.is_active = False
    with time_machine.travel(NOON + HOUR, tick=False):
        contact.save()
        assert forecast().distribution.number == 0


def test_incomplete_times_are_accepted(alice: User) -> None:
    found = forecast(starts_at=None, ends_at=None, repeat=None)
    assert (found.plan, found.details) == ("", "")


def test_a_cheaper_text_is_offered_where_it_takes_fewer_parts(alice: User) -> None:
    ann = factories.contact(alice, first_name="Ann", phone=79031112233)
    found = forecast(text="“" + "a" * 100 + "” {first_name}…🎉")
    assert found.latin_text is None
    assert found.plain_text is not None
    assert found.plain_text.text == '"' + "a" * 100 + '" {first_name}...'
    assert (found.plain_text.before, found.plain_text.after, found.plain_text.lost) == (2, 1, "🎉")
    assert forecast(text="“Short”").plain_text is None
    Contact.objects.filter(pk=ann.pk).update(first_name="Аня")
    assert forecast(text="“" + "a" * 100 + "” {first_name}").plain_text is None  # her name is Unicode


def test_latin_letters_are_offered_for_a_long_cyrillic_text(alice: User) -> None:
    factories.contact(alice)
    found = forecast(text="Привет!" * 12)
    assert found.plain_text is None
    assert found.latin_text is not None
    assert (found.latin_text.before, found.latin_text.after) == (2, 1)
    assert found.latin_text.text == "Privet!" * 12
    assert forecast(text="Привет!").latin_text is None


def test_the_cost_of_a_run_is_shown_with_what_is_unknown(alice: User, settings: Any) -> None:
    settings.PHONE_COUNTRIES = ["*"]
    factories.contact(alice, phone=79031112233)
    factories.contact(alice, phone=4915112345678)
    assert forecast().estimate is None
    Price.objects.create(gateway="probe", area="RU", price=Decimal("2.5"), valid_from=NOON.date())
    found = forecast(text="“" + "a" * 100 + "”", budget=Decimal(4))
    assert found.estimate is not None
    assert (found.estimate.cost, found.cost_is_exact, found.repeats) == (5_000_000, True, False)
    assert found.plain_text is not None
    assert found.plain_text.saving == 2_500_000
    assert [warning.text for warning in found.launch_warnings] == [
        "No price is known for 1 recipient: Germany.",
        "The estimated cost exceeds the budget, so sending will pause before the end.",
    ]
    assert not forecast(text="{first_name|friend}", repeat="daily").cost_is_exact
    Gateway.objects.create(name="probe", carries="RU")
    assert launch_warnings() == ["No gateway takes the number of 1 contact: Germany."]
