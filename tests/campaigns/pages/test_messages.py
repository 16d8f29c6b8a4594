"""Pages of single messages: tests, and resolution of unknown ones."""

import pytest

from accounts.models import User
from campaigns.models import Campaign, Message
from campaigns.planning.lifecycle import campaign_advance
from campaigns.sandbox.server import Sandbox
from campaigns.states import MessageStatus
from tests import factories
from tests.campaigns.browser_client import NEW, act, browser, htmx, page_of
from tests.campaigns.engine import run_session, statuses
from tests.campaigns.outcomes import settle, started

PHONE = "8 (999) 123-45-67"
TEST = "/campaigns/test/"


def with_unknown_messages(owner: User, number: int = 1, reason: str = "quarantined") -> tuple[Campaign, list[Message]]:
    campaign, run = started(owner, contacts=number)
    return campaign, settle(run, number, MessageStatus.UNKNOWN, reason)


def test_a_test_from_the_campaigns_page_is_followed_to_its_outcome(alice: User, sandbox: Sandbox) -> None:
    campaign = factories.campaign(alice, text="Hello {first_name|friend}", draft=True)
    client = browser(alice)
    assert 'data-dialog="test"' in client.get(page_of(campaign)).content.decode()
    answer = client.post(f"{page_of(campaign)}test/", {"phone": PHONE}, headers=htmx())
    message = Message.objects.get()
    assert (answer.status_code, message.text) == (200, "Hello friend")
    watched = f'hx-get="{TEST}{message.pk}/"'
    assert watched in answer.content.decode()
    assert watched in client.get(f"{TEST}{message.pk}/").content.decode()
    run_session(sandbox)
    final = client.get(f"{TEST}{message.pk}/").content.decode()
    assert ("Sent" in final, "hx-get" in final) == (True, False)


def test_a_test_from_the_composer_has_the_current_text(alice: User) -> None:
    client = browser(alice)
    assert f'hx-post="{TEST}"' in client.get(NEW).content.decode()
    client.post(TEST, {"phone": PHONE, "text": "Two\r\nlines"}, headers=htmx())
    assert Message.objects.get().text == "Two\nlines"


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"phone": "12345"}, "Enter a phone number"),
        ({"phone": ""}, "required"),
        ({"phone": PHONE, "text": " "}, "Enter the text first."),
        ({"phone": PHONE, "text": "x" * 1601}, "at most 1600"),
    ],
)
def test_errors_are_shown_in_the_dialog(alice: User, fields: dict[str, str], error: str) -> None:
    answer = browser(alice).post(TEST, {"text": "Hello", **fields}, headers=htmx())
    assert (answer.status_code, error in answer.content.decode()) == (422, True)
    assert not Message.objects.exists()


def test_the_phone_is_remembered(alice: User) -> None:
    client = browser(alice)
    client.post(TEST, {"phone": PHONE, "text": "Hello"}, headers=htmx())
    assert f'value="{PHONE}"' in client.get(NEW).content.decode()


def test_other_users_can_neither_test_a_campaign_nor_see_the_test(alice: User, bob: User) -> None:
    campaign = factories.campaign(alice, draft=True)
    assert browser(bob).post(f"{page_of(campaign)}test/", {"phone": PHONE}).status_code == 403
    browser(alice).post(f"{page_of(campaign)}test/", {"phone": PHONE})
    assert browser(bob).get(f"{TEST}{Message.objects.get().pk}/").status_code == 404


@pytest.mark.parametrize(
    ("action", "found"),
    [
        ("retry", {"pending": 2}),
        ("resend", {"unknown": 2, "pending": 2}),
        ("sent", {"sent": 2}),
        ("failed", {"failed": 2}),
    ],
)
def test_all_unknown_messages_are_resolved_by_one_button(alice: User, action: str, found: dict[str, int]) -> None:
    campaign, _messages = with_unknown_messages(alice, 2)
    client = browser(alice)
    page = client.get(page_of(campaign)).content.decode()
    assert "2 messages have an unknown outcome." in page
    assert "2 were stopped after three attempts" in page
    assert f'data-dialog="unknown-{action}"' in page
    act(client, campaign, f"unknown-{action}")
    assert "They are being processed." in client.get(page_of(campaign)).content.decode()
    campaign_advance(campaign.pk)
    assert statuses(campaign) == found
    assert "messages have an unknown outcome" not in client.get(page_of(campaign)).content.decode()


def test_having_nothing_to_resolve_is_reported(alice: User) -> None:
    campaign, _run = started(alice, contacts=1)
    assert "There are no such messages" in act(browser(alice), campaign, "unknown-sent").content.decode()


def test_only_possible_actions_are_offered(alice: User) -> None:
    campaign, [message] = with_unknown_messages(alice, reason="worker_died")
    Campaign.objects.filter(pk=campaign.pk).update(status="cancelled")
    client = browser(alice)
    for path, name in ((page_of(campaign), "unknown"), (f"{page_of(campaign)}messages/{message.pk}/", "message")):
        page = client.get(path).content.decode()
        offered = [
            action for action in ("retry", "resend", "sent", "failed") if f'data-dialog="{name}-{action}"' in page
        ]
        assert offered == ["sent", "failed"]


def test_a_resent_message_links_to_the_new_one(alice: User) -> None:
    campaign, [message] = with_unknown_messages(alice)
    client, path = browser(alice), f"{page_of(campaign)}messages/{message.pk}/"
    assert 'data-dialog="message-resend"' in client.get(path).content.decode()
    answer = client.post(f"{path}resend/", follow=True)
    again = Message.objects.get(resend_of=message)
    assert answer.redirect_chain[-1][0] == f"{page_of(campaign)}messages/{again.pk}/"
    assert f"messages/{message.pk}/" in answer.content.decode()
    old = client.get(path).content.decode()
    assert f"Resent as message {again.pk}" in old
    assert 'data-dialog="message-resend"' not in old
    assert "already been resent" in client.post(f"{path}resend/", follow=True).content.decode()


@pytest.mark.parametrize(("action", "status"), [("retry", "pending"), ("sent", "sent"), ("failed", "failed")])
def test_one_message_is_resolved_by_its_buttons(alice: User, bob: User, action: str, status: str) -> None:
    campaign, [message] = with_unknown_messages(alice)
    path = f"{page_of(campaign)}messages/{message.pk}/{action}/"
    assert browser(bob).post(path).status_code == 403
    assert browser(alice).get(path).status_code == 405
    browser(alice).post(path)
    message.refresh_from_db()
    assert message.status == status


def test_an_unknown_action_on_a_message_is_404(alice: User) -> None:
    campaign, [message] = with_unknown_messages(alice)
    assert browser(alice).post(f"{page_of(campaign)}messages/{message.pk}/explode/").status_code == 404
