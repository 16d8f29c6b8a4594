from datetime import UTC, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from accounts.models import User
from campaigns.lifecycle import campaign_advance
from campaigns.models import Attempt, Campaign
from campaigns.states import CampaignStatus, MessageStatus
from directory.models import Audience
from tests import factories
from tests.campaigns.outcomes import retry, settle, started

LIST, NEW, PREVIEW = "/campaigns/", "/campaigns/new/", "/campaigns/preview/"
GARBAGE = [
    "cursor=x",
    "cursor=-1",
    f"cursor={2**70}",
    "cursor=" + "9" * 5000,
    "status=nope",
    "q=%00",
    "q=%F0%28",
    "run=0",
    "run=x",
]


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def htmx(target: str = "") -> dict[str, str]:
    return {"HX-Request": "true", "HX-Target": target}


def composed(**changes: Any) -> dict[str, Any]:
    """What the composer's form sends."""
    ends_at = (now() + timedelta(days=2)).strftime("%Y-%m-%dT21:00")
    fields = {
        "name": "Sale",
        "text": "Hello {first_name|friend}",
        "tags_match": "any",
        "start": "now",
        "repeat": "once",
    }
    return {**fields, "ends_at": ends_at, "action": "launch", **changes}


def act(client: Client, campaign: Campaign, action: str) -> Any:
    return client.post(f"/campaigns/{campaign.pk}/{action}/", follow=True)


def page_of(campaign: Campaign) -> str:
    return f"/campaigns/{campaign.pk}/"


# --- The list ---


def test_every_page_asks_to_sign_in(alice: User) -> None:
    campaign = factories.campaign(alice)
    for path in (LIST, NEW, page_of(campaign), f"{page_of(campaign)}edit/"):
        assert Client().get(path)["Location"].startswith("/accounts/login/")
    assert Client().post(PREVIEW)["Location"].startswith("/accounts/login/")


def test_the_list_shows_everyones_campaigns_but_figures_of_ones_own_only(alice: User, bob: User) -> None:
    campaign, run = started(alice, contacts=3, name="Autumn")
    settle(run, 2, MessageStatus.SENT)
    own, others = (browser(user).get(LIST).content.decode() for user in (alice, bob))
    assert "Autumn" in own
    assert "2 of 3" in own
    assert page_of(campaign) in own
    assert "Autumn" in others
    assert "2 of 3" not in others
    assert page_of(campaign) not in others


def test_the_list_is_searched_and_filtered_by_its_address(alice: User, bob: User) -> None:
    factories.campaign(alice, name="Осенняя распродажа", draft=True)
    factories.campaign(bob, name="Winter sale")
    client = browser(alice)
    for query, found in [
        ("q=осенняя", {"Осенняя"}),
        ("status=draft", {"Осенняя"}),
        ("status=scheduled", {"Winter"}),
        ("mine=on", {"Осенняя"}),
        ("q=sale&status=", {"Winter"}),
        ("q=nothing", set()),
    ]:
        content = client.get(f"{LIST}?{query}").content.decode()
        assert {word for word in ("Осенняя", "Winter") if word in content.split('id="found"')[1]} == found, query


def test_a_live_search_gets_the_list_alone_and_an_address_to_reload(alice: User) -> None:
    factories.campaign(alice, name="Autumn")
    answer = browser(alice).get(f"{LIST}?{urlencode({'q': 'autumn', 'status': ''})}", headers=htmx("found"))
    assert "<html" not in answer.content.decode()
    assert "Autumn" in answer.content.decode()
    assert answer["HX-Replace-Url"] == f"{LIST}?q=autumn"
    assert "HX-Request" in answer["Vary"]


def test_the_list_refreshes_itself_only_while_something_runs(alice: User) -> None:
    campaign, _run = started(alice, contacts=1)
    client = browser(alice)
    assert 'hx-trigger="every 3s"' in client.get(LIST).content.decode()
    act(client, campaign, "pause")
    assert 'hx-trigger="every 3s"' not in client.get(LIST).content.decode()


def test_the_list_costs_the_same_for_one_campaign_and_for_thirty(alice: User) -> None:
    client = browser(alice)
    costs = []
    for number in (1, 29):
        for _ in range(number):
            started(alice)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            client.get(LIST)
        costs.append(len(queries))
    assert costs[0] == costs[1]


def test_the_list_pages_by_key(alice: User) -> None:
    for number in range(31):
        factories.campaign(alice, name=f"No. {number:02}", draft=True)
    client = browser(alice)
    first = client.get(LIST).content.decode()
    assert "No. 30" in first
    assert "No. 00" not in first
    cursor = Campaign.objects.order_by("-pk")[29].pk
    assert f"cursor={cursor}" in first
    assert "No. 00" in client.get(f"{LIST}?cursor={cursor}").content.decode()


def test_an_empty_list_says_what_to_do(alice: User) -> None:
    assert "No campaigns yet" in browser(alice).get(LIST).content.decode()


@pytest.mark.parametrize("query", GARBAGE)
def test_garbage_in_an_address_is_no_error(alice: User, query: str) -> None:
    campaign, _run = started(alice, contacts=1)
    client = browser(alice)
    assert client.get(f"{LIST}?{query}").status_code == 200
    assert client.get(f"{page_of(campaign)}?{query}").status_code == 200


# --- The composer ---


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
    assert campaign.picks == Audience(tags=("vip",), timezones=("Asia/Omsk",))
    assert campaign.window == (time(9), time(21))
    assert (campaign.rate_limit, campaign.repeat, campaign.local_time) == (5, "daily", True)
    assert campaign.text == "Two\nlines"


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
        ({"start": "at"}, "Say when, or start now."),
        ({"start": "at", "starts_at": "2090-01-01T10:00"}, "The end must come after the start."),
        ({"ends_at": "2020-01-01T10:00"}, "The end must come after the start."),
        ({"ends_at": "9999-12-31T23:59"}, "The year must lie between 2000 and 2100."),
        ({"ends_at": "soon"}, "Enter a valid date/time."),
        ({"window_start": "09:00"}, "Give both hours, or none."),
        ({"window_start": "09:00", "window_end": "09:00"}, "The window must open and close at different times."),
        ({"rate_limit": "0"}, "greater than or equal to 0.01"),
        ({"rate_limit": "nan"}, "Enter a number."),
        ({"tags": ["unheard"]}, "Select a valid choice."),
        ({"repeat": "hourly"}, "Select a valid choice."),
    ],
)
def test_a_mistake_is_told_beside_its_field_and_all_input_is_kept(
    alice: User, changes: dict[str, Any], complaint: str
) -> None:
    answer = browser(alice).post(NEW, composed(**{"name": "Kept name", **changes}))
    assert answer.status_code == 422
    assert complaint in answer.content.decode()
    assert "name" in changes or "Kept name" in answer.content.decode()
    assert not Campaign.objects.exists()


def test_a_twin_is_refused_in_the_form(alice: User) -> None:
    client = browser(alice)
    client.post(NEW, composed())
    answer = client.post(NEW, composed(name="Another name"))
    assert answer.status_code == 422
    assert "A campaign with the same text, audience and repeat is not finished yet." in answer.content.decode()
    assert "Another name" in answer.content.decode()
    assert Campaign.objects.count() == 1


def test_the_preview_tells_recipients_parts_and_what_a_contact_reads(alice: User) -> None:
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
    assert "Starts at once" in content


def test_the_preview_bears_half_written_forms(alice: User) -> None:
    client = browser(alice)
    for fields in ({}, {"text": "{"}, composed(ends_at="", start="at"), composed(tags=["gone"], rate_limit="fast")):
        assert client.post(PREVIEW, fields).status_code == 200


def test_someone_elses_campaign_is_not_previewed(alice: User, bob: User) -> None:
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
    assert form.context["form"].locked == {"text", "audience", "starts_at", "local_time", "repeat"}
    assert "Pause it to change text and audience." in form.content.decode()
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


# --- One campaign ---


def test_only_the_creator_and_administrators_open_a_campaign(alice: User, bob: User, admin: User) -> None:
    campaign, run = started(alice, contacts=1)
    message = run.messages.get()
    paths = ["", "edit/", f"messages/{message.pk}/"]
    for user, status in ((alice, 200), (admin, 200), (bob, 403)):
        client = browser(user)
        assert {client.get(page_of(campaign) + path).status_code for path in paths} == {status}
    for action in ("launch", "withdraw", "pause", "resume", "cancel", "duplicate", "delete"):
        assert browser(bob).post(f"{page_of(campaign)}{action}/").status_code == 403
    campaign.refresh_from_db()
    assert campaign.status == CampaignStatus.RUNNING


def test_a_message_is_shown_in_its_own_campaign_only(alice: User, bob: User) -> None:
    _campaign, run = started(alice, contacts=1)
    other = factories.campaign(bob, draft=True)
    assert browser(bob).get(f"{page_of(other)}messages/{run.messages.get().pk}/").status_code == 404


def test_what_is_not_there_is_404(alice: User) -> None:
    client = browser(alice)
    campaign = factories.campaign(alice)
    for path in (
        f"{LIST}{2**70}/",
        f"{LIST}{'9' * 5000}/",
        f"{LIST}999/edit/",
        f"{page_of(campaign)}messages/{2**70}/",
    ):
        assert client.get(path).status_code == 404
    assert client.post(f"{page_of(campaign)}explode/").status_code == 404
    assert client.get(f"{page_of(campaign)}pause/").status_code == 405


def test_a_campaign_goes_through_its_life_by_buttons(alice: User) -> None:
    factories.contact(alice)
    campaign = factories.campaign(alice, name="Sale", draft=True, starts_at=now() + timedelta(hours=1))
    client = browser(alice)
    for action, status in [
        ("launch", "scheduled"),
        ("withdraw", "draft"),
        ("launch", "scheduled"),
        ("cancel", "cancelled"),
    ]:
        answer = act(client, campaign, action)
        campaign.refresh_from_db()
        assert campaign.status == status
        assert "Sale" in str(*answer.context["messages"])
    running, _run = started(alice)
    for action, status in [("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")]:
        act(client, running, action)
        running.refresh_from_db()
        assert running.status == status


def test_an_action_that_the_state_forbids_is_refused_with_a_toast(alice: User) -> None:
    campaign = factories.campaign(alice, draft=True)
    answer = act(browser(alice), campaign, "pause")
    assert "Only a running campaign can be paused." in answer.content.decode()
    assert 'class="toast error"' in answer.content.decode()


def test_a_launch_after_the_end_is_refused_with_a_toast(alice: User) -> None:
    with time_machine.travel(now() - timedelta(days=2)):
        campaign = factories.campaign(alice, draft=True)
    assert "The end has passed already." in act(browser(alice), campaign, "launch").content.decode()


def test_a_deleted_campaign_is_gone_from_the_pages(alice: User) -> None:
    campaign = factories.campaign(alice, name="Doomed", draft=True)
    client = browser(alice)
    assert act(client, campaign, "delete").redirect_chain[-1][0] == LIST
    assert client.get(page_of(campaign)).status_code == 404
    assert "Doomed" not in client.get(LIST).content.decode()


def test_a_copy_is_a_draft_that_is_edited_at_once(alice: User) -> None:
    campaign = factories.campaign(alice, text="Again")
    answer = act(browser(alice), campaign, "duplicate")
    copy = Campaign.objects.latest("pk")
    assert answer.redirect_chain[-1][0] == f"{page_of(copy)}edit/"
    assert (copy.text, copy.status) == ("Again", CampaignStatus.DRAFT)


def test_the_page_shows_how_far_it_is_and_why_messages_failed(alice: User) -> None:
    campaign, run = started(alice, contacts=10)
    settle(run, 4, MessageStatus.SENT)
    settle(run, 2, MessageStatus.FAILED, "http_400")
    retry(run)
    content = browser(alice).get(page_of(campaign)).content.decode()
    assert "6 of 10 messages" in content
    assert 'aria-label="4 sent, 1 retrying, 2 failed, 3 waiting"' in content
    assert "Refused by the gateway (400)" in content
    assert "Messages a minute" in content
    assert content.count("Refused by the gateway (400)") == 3


@pytest.mark.parametrize(("tab", "number"), [("sent", 2), ("failed", 1), ("retrying", 1), ("waiting", 2), ("", 6)])
def test_the_messages_are_narrowed_by_state(alice: User, tab: str, number: int) -> None:
    campaign, run = started(alice, contacts=6)
    settle(run, 2, MessageStatus.SENT)
    settle(run, 1, MessageStatus.FAILED, "http_400")
    retry(run)
    assert len(browser(alice).get(f"{page_of(campaign)}?status={tab}").context["page"].items) == number


def test_messages_are_found_by_phone_and_name(alice: User) -> None:
    factories.contact(alice, phone=79161112233, first_name="Ольга")
    campaign, _run = started(alice, contacts=3)
    client = browser(alice)
    for words in ("8 916 111-22-33", "ольга", "1112233"):
        page = client.get(page_of(campaign), {"q": words}, headers=htmx("rows"))
        assert [row.contact.first_name for row in page.context["page"].items] == ["Ольга"]
        assert "<html" not in page.content.decode()


def test_messages_page_by_key(alice: User) -> None:
    campaign, run = started(alice, contacts=26)
    client = browser(alice)
    first = client.get(page_of(campaign)).context["page"]
    second = client.get(f"{page_of(campaign)}?cursor={first.next}").context["page"]
    assert (len(first.items), len(second.items), second.next) == (25, 1, None)
    assert {row.pk for row in [*first.items, *second.items]} == set(run.messages.values_list("pk", flat=True))


@pytest.mark.parametrize(("rate", "shown"), [(2.0, "2"), (0.5, "0.5")])
def test_a_rate_is_shown_as_it_was_written_and_stays(alice: User, rate: float, shown: str) -> None:
    campaign = factories.campaign(alice, draft=True, rate_limit=rate)
    form = browser(alice).get(f"{page_of(campaign)}edit/").context["form"]
    assert f'value="{shown}"' in str(form["rate_limit"])
    assert not form.fields["rate_limit"].has_changed(form["rate_limit"].initial, shown)


def test_each_run_of_a_repeated_campaign_has_its_own_messages(alice: User) -> None:
    with time_machine.travel(datetime(2026, 11, 24, 9, tzinfo=UTC), tick=False) as clock:
        campaign, first = started(alice, contacts=2, repeat="daily", ends_at=now() + timedelta(days=3))
        clock.shift(timedelta(days=1))
        campaign_advance(campaign.pk)
        client = browser(alice)
        page = client.get(page_of(campaign))
        latest = page.context["page"].items
        earlier = client.get(f"{page_of(campaign)}?run={first.pk}").context["page"].items
    assert {row.run_id for row in earlier} == {first.pk}
    assert first.pk not in {row.run_id for row in latest}
    assert [page.context[name].total for name in ("progress", "tabs")] == [4, 2]


def test_the_refresh_brings_the_figures_and_stops_when_the_campaign_is_over(alice: User) -> None:
    campaign, run = started(alice, contacts=3)
    client = browser(alice)
    path = f"{page_of(campaign)}?seen=running"
    assert 'hx-trigger="every 2s"' in client.get(page_of(campaign)).content.decode()
    settle(run, 2, MessageStatus.SENT)
    fresh = client.get(path, headers=htmx("progress")).content.decode()
    assert "2 of 3 messages" in fresh
    assert 'hx-trigger="every 2s"' in fresh
    assert fresh.count('hx-swap-oob="true"') == 3
    assert "<html" not in fresh
    act(client, campaign, "cancel")
    assert client.get(path, headers=htmx("progress"))["HX-Refresh"] == "true"
    assert 'hx-trigger="every 2s"' in client.get(page_of(campaign)).content.decode()
    campaign_advance(campaign.pk)
    assert 'hx-trigger="every' not in client.get(page_of(campaign)).content.decode()


def test_the_page_tells_when_the_next_message_leaves_if_all_wait_for_their_hour(alice: User) -> None:
    with time_machine.travel(datetime(2026, 11, 24, 19, tzinfo=UTC), tick=False):  # 22:00 in Moscow
        campaign, _run = started(alice, contacts=1, window=(time(9), time(21)), ends_at=now() + timedelta(days=2))
        content = browser(alice).get(page_of(campaign)).content.decode()
    assert "tomorrow 09:00" in content.split("the next leaves")[1].split("</p>")[0]
    assert "Waiting till 09:00 in Moscow" in content


def test_a_refresh_before_the_start_brings_nothing(alice: User) -> None:
    campaign = factories.campaign(alice, starts_at=now() + timedelta(hours=1))
    answer = browser(alice).get(f"{page_of(campaign)}?seen=scheduled", headers=htmx("progress"))
    assert answer.status_code == 204


def test_a_refresh_costs_at_most_eight_queries_at_any_size(alice: User) -> None:
    campaign, run = started(alice, contacts=30)
    settle(run, 10, MessageStatus.SENT)
    settle(run, 5, MessageStatus.FAILED, "http_400")
    retry(run)
    client = browser(alice)
    for target in ("progress", "rows"):
        with CaptureQueriesContext(connection) as queries:
            client.get(f"{page_of(campaign)}?seen=running", headers=htmx(target))
        assert len(queries) <= 8, [query["sql"] for query in queries]


def test_a_campaign_that_waits_tells_whom_it_would_write_to(alice: User) -> None:
    factories.contact(alice)
    campaign = factories.campaign(alice, starts_at=now() + timedelta(hours=1), text="Soon")
    content = browser(alice).get(page_of(campaign)).content.decode()
    assert "1 contact<" in content
    assert "Nothing is sent yet." in content
    assert "Soon" in content


def test_a_message_tells_its_story_step_by_step(alice: User) -> None:
    campaign, run = started(alice, contacts=1)
    message = retry(run, "http_503")
    Attempt.objects.filter(message=message).update(http_status=503, answer="<b>Sorry</b>")
    settle(run, 1, MessageStatus.SENT)
    client = browser(alice)
    path = f"{page_of(campaign)}messages/{message.pk}/"
    page = client.get(path).content.decode()
    assert "The gateway is overloaded (503)" in page
    assert "It may have been accepted all the same." in page
    assert "&lt;b&gt;Sorry&lt;/b&gt;" in page
    assert "As sent" in page
    beside = client.get(path, headers=htmx("beside")).content.decode()
    assert "<html" not in beside
    assert "The gateway is overloaded (503)" in beside


def test_pages_speak_russian_without_breaking_the_charts(alice: User) -> None:
    alice.language = "ru"
    alice.save()
    campaign, run = started(alice, contacts=3)
    settle(run, 2, MessageStatus.SENT)
    content = browser(alice).get(page_of(campaign)).content.decode()
    chart = content.split('class="chart"')[1].split("</svg>")[0]
    assert "," not in "".join(part.split('"')[0] for part in chart.split('x="')[1:])


def test_what_failed_is_tried_again_by_one_button(alice: User) -> None:
    running, run = started(alice, contacts=3)
    settle(run, 2, MessageStatus.FAILED, "http_400")
    client = browser(alice)
    page = client.get(f"/campaigns/{running.pk}/").content.decode()
    assert f'action="/campaigns/{running.pk}/retry-failed/"' in page
    act(client, running, "retry-failed")
    run.refresh_from_db()
    assert (run.pending, run.failed) == (3, 0)
    assert (
        f'action="/campaigns/{running.pk}/retry-failed/"'
        not in client.get(f"/campaigns/{running.pk}/").content.decode()
    )
