"""One campaign's page: its figures, its messages, its buttons."""

from datetime import UTC, datetime, time, timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from accounts.models import User
from campaigns.counters import count, count_reasons
from campaigns.models import Attempt, Campaign, Gateway
from campaigns.planning.lifecycle import campaign_advance
from campaigns.states import CampaignStatus, MessageStatus
from tests import factories
from tests.campaigns.browser_client import LIST, act, browser, htmx, page_of
from tests.campaigns.outcomes import retry, settle, started


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


def test_buttons_lead_through_the_life_cycle(alice: User) -> None:
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
    assert "The end time has already passed." in act(browser(alice), campaign, "launch").content.decode()


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
    assert "Rejected by the gateway (400)" in content
    assert "Messages per minute" in content
    assert content.count("Rejected by the gateway (400)") == 3


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
    assert fresh.count('hx-swap-oob="true"') == 2  # the figures, and the gateway's badge
    assert "<html" not in fresh
    act(client, campaign, "cancel")
    over = client.get(path, headers=htmx("progress"))
    assert (over["HX-Retarget"], over["HX-Reselect"]) == ("#main", "#main")
    assert "<html" in over.content.decode()
    assert 'hx-trigger="every 2s"' in client.get(page_of(campaign)).content.decode()
    campaign_advance(campaign.pk)
    assert 'hx-trigger="every' not in client.get(page_of(campaign)).content.decode()


@pytest.mark.parametrize("part", ["chart", "why", "rows"])
def test_a_refresh_keeps_the_tables_filters(alice: User, part: str) -> None:
    campaign, _run = started(alice, contacts=3)
    fresh = browser(alice).get(f"{page_of(campaign)}?seen=running", headers=htmx(part)).content.decode()
    assert 'hx-include="#find"' in fresh


def test_the_page_shows_when_the_next_message_is_due(alice: User) -> None:
    with time_machine.travel(datetime(2026, 11, 24, 19, tzinfo=UTC), tick=False):  # 22:00 in Moscow
        campaign, _run = started(alice, contacts=1, window=(time(9), time(21)), ends_at=now() + timedelta(days=2))
        content = browser(alice).get(page_of(campaign)).content.decode()
    assert "tomorrow 09:00" in content.split("next message")[1].split("</p>")[0]
    assert "Waiting until 09:00 in Moscow" in content


def test_a_refresh_before_the_start_is_empty(alice: User) -> None:
    campaign = factories.campaign(alice, starts_at=now() + timedelta(hours=1))
    answer = browser(alice).get(f"{page_of(campaign)}?seen=scheduled", headers=htmx("progress"))
    assert answer.status_code == 204


@pytest.mark.parametrize("part", ["progress", "chart", "why", "rows", "timeline"])
def test_a_refresh_costs_at_most_six_queries_at_any_size(alice: User, part: str) -> None:
    campaign, run = started(alice, contacts=30)
    settle(run, 10, MessageStatus.SENT)
    settle(run, 5, MessageStatus.FAILED, "http_400")
    settle(run, 2, MessageStatus.UNKNOWN, "quarantined")
    message = retry(run)
    count({run.pk: {}}, reached={run.pk: message.pk})
    count_reasons({(run.pk, "http_400"): 5})
    client = browser(alice)
    path = f"messages/{message.pk}/" if part == "timeline" else "?seen=running"
    client.get(page_of(campaign))  # the first request stores the session
    with CaptureQueriesContext(connection) as queries:
        assert f'id="{part}"' in client.get(page_of(campaign) + path, headers=htmx(part)).content.decode()
    # Only with unknown messages, one more query reads whether the gateways are idempotent.
    assert len(queries) <= 6 + (part == "why"), [query["sql"] for query in queries]


def test_the_latest_outcomes_come_first_while_it_runs(alice: User) -> None:
    with time_machine.travel(now(), tick=False) as clock:
        campaign, run = started(alice, contacts=40)
        outcomes = []
        for status in (MessageStatus.SENT, MessageStatus.FAILED, MessageStatus.SENT):
            clock.shift(1)
            outcomes += settle(run, 10, status)
        count({run.pk: {}}, reached={run.pk: outcomes[-1].pk})
        client = browser(alice)
        page = client.get(page_of(campaign)).context["page"]
        every = client.get(f"{page_of(campaign)}?status=all").context["page"]
    assert [row.pk for row in page.items[:10]] == [row.pk for row in outcomes[:-11:-1]]
    assert (len(page.items), page.next) == (25, None)
    assert every.items[0].status == MessageStatus.PENDING


def test_failures_are_grouped_by_reason(alice: User) -> None:
    campaign, run = started(alice, contacts=4)
    settle(run, 2, MessageStatus.FAILED, "http_400")
    settle(run, 1, MessageStatus.FAILED, "timeout")
    count_reasons({(run.pk, "timeout"): 7, (run.pk, "http_400"): 2})
    failures = browser(alice).get(page_of(campaign)).context["failures"]
    assert [(each.code, each.number) for each in failures.messages] == [("http_400", 2), ("timeout", 1)]
    assert [(each.code, each.number) for each in failures.attempts] == [("timeout", 7), ("http_400", 2)]


def test_a_scheduled_campaign_shows_its_recipients(alice: User) -> None:
    factories.contact(alice)
    campaign = factories.campaign(alice, starts_at=now() + timedelta(hours=1), text="Soon")
    content = browser(alice).get(page_of(campaign)).content.decode()
    assert "1 contact<" in content
    assert "Nothing has been sent yet." in content
    assert "Soon" in content


def test_a_message_shows_its_history(alice: User) -> None:
    campaign, run = started(alice, contacts=1)
    message = retry(run, "http_503")
    Attempt.objects.filter(message=message).update(http_status=503, answer="<b>Sorry</b>")
    settle(run, 1, MessageStatus.SENT)
    client = browser(alice)
    path = f"{page_of(campaign)}messages/{message.pk}/"
    page = client.get(path).content.decode()
    assert "The gateway is overloaded (503)" in page
    assert "The gateway may still have accepted it." in page
    assert "&lt;b&gt;Sorry&lt;/b&gt;" in page
    assert "As sent" in page
    beside = client.get(path, headers=htmx("beside")).content.decode()
    assert "<html" not in beside
    assert "The gateway is overloaded (503)" in beside


def test_a_message_is_refreshed_only_after_a_change(alice: User) -> None:
    campaign, run = started(alice, contacts=1)
    message = retry(run, "http_503")
    client = browser(alice)
    path = f"{page_of(campaign)}messages/{message.pk}/"
    again = client.get(path).content.decode().split(f'hx-get="{path}')[1].split('"')[0]
    assert client.get(path + again, headers=htmx("timeline")).status_code == 204
    settle(run, 1, MessageStatus.SENT)
    assert "Sent" in client.get(path + again, headers=htmx("timeline")).content.decode()


def test_pages_speak_russian_without_breaking_the_charts(alice: User) -> None:
    alice.language = "ru"
    alice.save()
    campaign, run = started(alice, contacts=3)
    settle(run, 2, MessageStatus.SENT)
    content = browser(alice).get(page_of(campaign)).content.decode()
    chart = content.split('class="chart"')[1].split("</svg>")[0]
    assert "," not in "".join(part.split('"')[0] for part in chart.split('x="')[1:])


def test_failed_messages_are_retried_by_one_button(alice: User) -> None:
    running, run = started(alice, contacts=3)
    settle(run, 2, MessageStatus.FAILED, "http_400")
    client = browser(alice)
    page = client.get(f"/campaigns/{running.pk}/").content.decode()
    assert 'data-dialog="retry"' in page
    act(client, running, "retry-failed")
    campaign_advance(running.pk)
    run.refresh_from_db()
    assert (run.pending, run.failed) == (3, 0)
    assert 'data-dialog="retry"' not in client.get(f"/campaigns/{running.pk}/").content.decode()


def test_a_stopped_gateway_is_shown_on_the_campaigns_page(alice: User) -> None:
    running, _run = started(alice, contacts=1)
    Gateway.objects.create(name="probe", opened_at=now(), open_until=now(), alert="http_503")
    content = browser(alice).get(page_of(running), headers=htmx("progress"), query_params={"seen": "running"}).content
    assert "Sending has been paused" in content.decode()


def test_the_first_figures_appear_soon_after_the_launch(alice: User) -> None:
    campaign = factories.campaign(alice)
    assert 'hx-trigger="every 1s"' in browser(alice).get(page_of(campaign)).content.decode()
