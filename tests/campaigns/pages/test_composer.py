"""The composer, its preview, and the editor."""

import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.utils.timezone import now

from accounts.models import User
from campaigns.models import Campaign, Gateway, Price
from campaigns.states import CampaignStatus
from directory.audiences.audience import Audience
from tests import factories
from tests.campaigns.browser_client import NEW, PREVIEW, browser, composed, htmx, page_of
from tests.campaigns.outcomes import started


def test_a_campaign_is_launched_from_the_composer(alice: User) -> None:
    factories.contact(alice, tags=("vip",), timezone="Asia/Omsk")
    answer = browser(alice).post(
        NEW,
        composed(
            tags=["vip"],
            timezones=["Asia/Omsk"],
            window_start="09:00",
            window_end="21:00",
            rate_limit="5",
            repeat="daily",
            local_time="on",
            text="Two\r\nlines",
        ),
    )
    campaign = Campaign.objects.get()
    assert answer["Location"] == page_of(campaign)
    assert campaign.status == CampaignStatus.SCHEDULED
    assert campaign.audience_filter == Audience(tags=("vip",), timezones=("Asia/Omsk",))
    assert campaign.window == (time(9), time(21))
    assert (campaign.rate_limit, campaign.repeat, campaign.local_time) == (5, "daily", True)
    assert campaign.text == "Two\nlines"


def test_a_campaign_is_launched_while_there_are_no_tags(alice: User) -> None:
    factories.contact(alice)
    assert b'name="tags_match"' not in browser(alice).get(NEW).content
    fields = {name: value for name, value in composed().items() if name != "tags_match"}
    browser(alice).post(NEW, fields)
    assert Campaign.objects.get().audience_filter == Audience()


def test_countries_are_offered_when_there_are_several(alice: User) -> None:
    factories.contact(alice)
    assert 'name="countries"' not in browser(alice).get(NEW).content.decode()
    factories.contact(alice, phone=77011234567)
    assert "Kazakhstan" in browser(alice).get(NEW).content.decode()
    shown = browser(alice).post(PREVIEW, composed(), headers=htmx("preview")).content.decode()
    assert "2 countries" in shown
    browser(alice).post(NEW, composed(countries=["KZ"]))
    campaign = Campaign.objects.get()
    assert campaign.audience_filter == Audience(countries=("KZ",))
    assert "Kazakhstan" in browser(alice).get(page_of(campaign)).content.decode()


def test_the_page_and_the_api_store_the_same_text(alice: User) -> None:
    text = " Cafe\u0301 \r\nopen"
    browser(alice).post(NEW, composed(text=text))
    assert Campaign.objects.get().text == "Café\nopen"


def test_the_composer_counts_the_normalised_text(alice: User) -> None:
    factories.contact(alice)
    answer = browser(alice).post(PREVIEW, composed(text="a\r\n" * 80), headers=htmx("preview"))
    assert "159 of 160 characters" in answer.content.decode()
    assert browser(alice).post(NEW, composed(text="a\r\n" * 800)).status_code == 302


def test_a_deleted_saved_audience_does_not_open_the_composer(alice: User) -> None:
    assert browser(alice).get(f"{NEW}?audience=4711").status_code == 404


def test_a_draft_is_saved_from_the_composer_and_starts_nothing(alice: User) -> None:
    browser(alice).post(NEW, composed(action="draft"))
    assert Campaign.objects.get().status == CampaignStatus.DRAFT


def test_times_are_read_in_the_users_own_zone(alice: User) -> None:
    alice.timezone = "Asia/Omsk"
    alice.save()
    with time_machine.travel(datetime(2026, 11, 24, 6, tzinfo=UTC), tick=False):
        client = browser(alice)
        client.post(NEW, composed(start="at", starts_at="2026-11-25T10:00", ends_at="2026-11-26T21:00"))
        campaign = Campaign.objects.get()
        assert campaign.starts_at == datetime(2026, 11, 25, 4, tzinfo=UTC)
        assert campaign.ends_at == datetime(2026, 11, 26, 15, tzinfo=UTC)
        assert campaign.timezone == "Asia/Omsk"
        assert "Starts tomorrow 10:00, until Thu 26 Nov 21:00." in client.get(page_of(campaign)).content.decode()


def test_the_default_end_is_the_evening_in_two_days(alice: User) -> None:
    with time_machine.travel(datetime(2026, 11, 24, 6, tzinfo=UTC), tick=False):
        assert 'value="2026-11-26T21:00"' in browser(alice).get(NEW).content.decode()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"name": ""}, "This field is required."),
        ({"text": "  "}, "This field is required."),
        ({"start": "at"}, "Enter a start time, or choose to start now."),
        ({"start": "at", "starts_at": "2090-01-01T10:00"}, "The end must be after the start."),
        ({"ends_at": "2020-01-01T10:00"}, "The end must be after the start."),
        ({"ends_at": "9999-12-31T23:59"}, "The year must be between 2000 and 2100."),
        ({"ends_at": "soon"}, "Enter a valid date/time."),
        ({"window_start": "09:00"}, "Enter both times or neither."),
        ({"window_start": "09:00", "window_end": "09:00"}, "The sending hours must start and end at different times."),
        ({"rate_limit": "0"}, "greater than or equal to 0.01"),
        ({"rate_limit": "nan"}, "Enter a number."),
        ({"tags": ["unheard"]}, "Select a valid choice."),
        ({"repeat": "hourly"}, "Select a valid choice."),
    ],
)
def test_an_error_is_shown_at_its_field_and_all_input_is_kept(
    alice: User, changes: dict[str, Any], complaint: str
) -> None:
    answer = browser(alice).post(NEW, composed(**{"name": "Kept name", **changes}))
    assert answer.status_code == 422
    assert complaint in answer.content.decode()
    assert "name" in changes or "Kept name" in answer.content.decode()
    assert not Campaign.objects.exists()


def test_a_duplicate_is_refused_in_the_form(alice: User) -> None:
    client = browser(alice)
    client.post(NEW, composed())
    answer = client.post(NEW, composed(name="Another name"))
    assert answer.status_code == 422
    assert (
        "An unfinished campaign with the same text, audience and repeat setting already exists."
        in answer.content.decode()
    )
    assert "Another name" in answer.content.decode()
    assert Campaign.objects.count() == 1


def test_the_preview_shows_recipients_parts_and_a_sample(alice: User) -> None:
    factories.contact(alice, first_name="Ольга", tags=("vip",))
    factories.contact(alice, tags=("vip",), opted_out=True)
    factories.contact(alice)
    answer = browser(alice).post(PREVIEW, composed(tags=["vip"], text="Привет, {first_name}!"), headers=htmx("preview"))
    content = answer.content.decode()
    assert "<html" not in content
    assert "Привет, Ольга!" in content
    assert "1 contact<" in content
    assert "14 of 70 characters" in content
    assert "because of Cyrillic" in content
    assert "Starts immediately" in content
    review = browser(alice).post(PREVIEW, composed(tags=["vip"]), headers=htmx("review-body")).content.decode()
    assert "Launch to 1 contact\n" in review
    missing = browser(alice).post(PREVIEW, composed(name=""), headers=htmx("review-body")).content.decode()
    assert ("This field is required." in missing, "Launch to" in missing) == (True, False)


def test_the_preview_accepts_incomplete_forms(alice: User) -> None:
    client = browser(alice)
    for fields in ({}, {"text": "{"}, composed(ends_at="", start="at"), composed(tags=["gone"], rate_limit="fast")):
        assert client.post(PREVIEW, fields).status_code == 200


def test_another_users_campaign_is_not_previewed(alice: User, bob: User) -> None:
    campaign = factories.campaign(alice)
    assert browser(bob).post(f"{page_of(campaign)}preview/").status_code == 403


def test_an_unchanged_form_changes_nothing(alice: User) -> None:
    campaign = factories.campaign(alice, name="Same", starts_at=now() + timedelta(hours=5))
    client = browser(alice)
    form = client.get(f"{page_of(campaign)}edit/").context["form"]
    fields = {name: form[name].value() for name in form.fields}
    fields |= {name: fields[name].strftime("%Y-%m-%dT%H:%M") for name in ("starts_at", "ends_at")}
    before = Campaign.objects.filter(pk=campaign.pk).values("starts_at", "ends_at", "text", "audience").get()
    answer = client.post(f"{page_of(campaign)}edit/", {name: value for name, value in fields.items() if value})
    assert answer.status_code == 302
    assert Campaign.objects.filter(pk=campaign.pk).values("starts_at", "ends_at", "text", "audience").get() == before


def test_while_it_runs_text_and_audience_are_locked_with_a_reason(alice: User) -> None:
    campaign, _run = started(alice, contacts=1, name="Old", text="Fixed")
    client = browser(alice)
    form = client.get(f"{page_of(campaign)}edit/")
    assert form.context["form"].locked == {"text", "audience", "starts_at", "local_time", "repeat", "gateway", "sender"}
    assert (
        "You can change: name, end time, sending hours, speed limit, budget. Pause it to also change: text, audience."
        in form.content.decode()
    )
    client.post(f"{page_of(campaign)}edit/", composed(name="New", text="Other"))
    campaign.refresh_from_db()
    assert (campaign.name, campaign.text) == ("New", "Fixed")


def test_a_draft_is_edited_and_launched_at_once(alice: User) -> None:
    campaign = factories.campaign(alice, draft=True)
    browser(alice).post(f"{page_of(campaign)}edit/", composed(text="Changed"))
    campaign.refresh_from_db()
    assert (campaign.text, campaign.status) == ("Changed", CampaignStatus.SCHEDULED)


def test_a_launch_that_is_refused_keeps_the_draft_as_it_was(alice: User) -> None:
    factories.campaign(alice, text="Taken")
    draft = factories.campaign(alice, text="Free", draft=True)
    answer = browser(alice).post(f"{page_of(draft)}edit/", composed(text="Taken"))
    assert answer.status_code == 422
    draft.refresh_from_db()
    assert (draft.text, draft.status) == ("Free", CampaignStatus.DRAFT)


def test_every_field_of_the_form_is_on_the_page(alice: User) -> None:
    # Otherwise saving the page would empty what the API has set.
    factories.contact(alice, tags=("vip",))
    factories.contact(alice, phone=77011234567)
    Gateway.objects.create(
        name="second", kind="kannel", url="http://127.0.0.1:1", senders=[{"name": "Shop", "countries": []}]
    )
    Price.objects.create(gateway="second", area="", price=1, valid_from="2026-01-01")
    answer: Any = browser(alice).get(NEW)
    page = answer.content.decode()
    assert [each.name for each in answer.context["form"] if f'name="{each.html_name}"' not in page] == []


def test_the_cost_is_shown_by_country_where_prices_are_known(alice: User) -> None:
    for phone in (79161112233, 77010001234):
        factories.contact(alice, phone=phone)
    client = browser(alice)
    assert "expected cost" not in client.post(PREVIEW, composed(), headers=htmx()).content.decode()
    for area, amount in (("RU", "2.5"), ("KZ", "3")):
        Price.objects.create(gateway="probe", area=area, price=Decimal(amount), valid_from=date(2026, 1, 1))
    preview = client.post(PREVIEW, composed(text="Hello"), headers=htmx()).content.decode()
    assert "RUB\u00a05.50" in preview
    assert re.findall(r"<span>(\w+) <span class=\"muted nowrap\">probe", preview) == ["Kazakhstan", "Russia"]
    review = client.post(PREVIEW, composed(repeat="daily"), headers=htmx("review-body")).content.decode()
    assert "≈ RUB\u00a05.50" in review
    assert "each time" in review
