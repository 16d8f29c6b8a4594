"""What the pages do with single messages: tests, and what is made of unknown ones."""

import pytest

from accounts.models import User
from campaigns.lifecycle import campaign_advance
from campaigns.models import Campaign, Message
from campaigns.sandbox.server import Sandbox
from campaigns.states import MessageStatus
from tests import factories
from tests.campaigns.engine import slice_of, statuses
from tests.campaigns.outcomes import settle, started
from tests.campaigns.pages import NEW, act, browser, htmx, page_of

PHONE = "8 (999) 123-45-67"
TEST = "/campaigns/test/"


def doubtful(owner: User, number: int = 1, reason: str = "quarantined") -> tuple[Campaign, list[Message]]:
    campaign, run = started(owner, contacts=number)
    return campaign, settle(run, number, MessageStatus.UNKNOWN, reason)


def test_a_test_is_sent_from_the_campaigns_page_and_watched_until_it_is_final(alice: User, sandbox: Sandbox) -> None:
    campaign = factories.campaign(alice, text="Hello {first_name|friend}", draft=True)
    client = browser(alice)
    assert 'data-dialog="test"' in client.get(page_of(campaign)).content.decode()
    answer = client.post(f"{page_of(campaign)}test/", {"phone": PHONE}, headers=htmx())
    message = Message.objects.get()
    assert (answer.status_code, message.text) == (200, "Hello friend")
    watched = f'hx-get="{TEST}{message.pk}/"'
    assert watched in answer.content.decode()
    assert watched in client.get(f"{TEST}{message.pk}/").content.decode()
    slice_of(sandbox)
    final = client.get(f"{TEST}{message.pk}/").content.decode()
    assert ("Sent" in final, "hx-get" in final) == (True, False)


def test_a_test_from_the_composer_has_the_text_that_is_being_written(alice: User) -> None:
    client = browser(alice)
    assert f'hx-post="{TEST}"' in client.get(NEW).content.decode()
    client.post(TEST, {"phone": PHONE, "text": "Two\r\nlines"}, headers=htmx())
    assert Message.objects.get().text == "Two\nlines"


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"phone": "12345"}, "Enter a phone number"),
        ({"phone": ""}, "required"),
        ({"phone": PHONE, "text": " "}, "Write the text first."),
        ({"phone": PHONE, "text": "x" * 1601}, "at most 1600"),
    ],
)
def test_what_is_wrong_is_told_in_the_dialog(alice: User, fields: dict[str, str], error: str) -> None:
    answer = browser(alice).post(TEST, {"text": "Hello", **fields}, headers=htmx())
    assert (answer.status_code, error in answer.content.decode()) == (422, True)
    assert not Message.objects.exists()


def test_the_phone_is_remembered(alice: User) -> None:
    client = browser(alice)
    client.post(TEST, {"phone": PHONE, "text": "Hello"}, headers=htmx())
    assert f'value="{PHONE}"' in client.get(NEW).content.decode()


def test_others_neither_test_a_campaign_nor_watch_its_test(alice: User, bob: User) -> None:
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
def test_everything_unknown_by_one_button(alice: User, action: str, found: dict[str, int]) -> None:
    campaign, _messages = doubtful(alice, 2)
    client = browser(alice)
    page = client.get(page_of(campaign)).content.decode()
    assert "2 messages are unknown." in page
    assert "2 were stopped after three tries" in page
    assert f'data-dialog="unknown-{action}"' in page
    act(client, campaign, f"unknown-{action}")
    assert "They are being worked on." in client.get(page_of(campaign)).content.decode()
    campaign_advance(campaign.pk)
    assert statuses(campaign) == found
    assert "messages are unknown" not in client.get(page_of(campaign)).content.decode()


def test_nothing_to_be_made_of_is_told(alice: User) -> None:
    campaign, _run = started(alice, contacts=1)
    assert "There is nothing of the kind" in act(browser(alice), campaign, "unknown-sent").content.decode()


def test_only_what_is_possible_is_offered(alice: User) -> None:
    campaign, [message] = doubtful(alice, reason="worker_died")
    Campaign.objects.filter(pk=campaign.pk).update(status="cancelled")
    client = browser(alice)
    for path, name in ((page_of(campaign), "unknown"), (f"{page_of(campaign)}messages/{message.pk}/", "message")):
        page = client.get(path).content.decode()
        offered = [
            action for action in ("retry", "resend", "sent", "failed") if f'data-dialog="{name}-{action}"' in page
        ]
        assert offered == ["sent", "failed"]


def test_one_message_is_sent_again_and_shows_where_it_went(alice: User) -> None:
    campaign, [message] = doubtful(alice)
    client, path = browser(alice), f"{page_of(campaign)}messages/{message.pk}/"
    assert 'data-dialog="message-resend"' in client.get(path).content.decode()
    answer = client.post(f"{path}resend/", follow=True)
    again = Message.objects.get(resend_of=message)
    assert answer.redirect_chain[-1][0] == f"{page_of(campaign)}messages/{again.pk}/"
    assert f"messages/{message.pk}/" in answer.content.decode()
    old = client.get(path).content.decode()
    assert f"Sent again as message {again.pk}" in old
    assert 'data-dialog="message-resend"' not in old
    assert "sent again already" in client.post(f"{path}resend/", follow=True).content.decode()


@pytest.mark.parametrize(("action", "status"), [("retry", "pending"), ("sent", "sent"), ("failed", "failed")])
def test_one_message_by_its_buttons(alice: User, bob: User, action: str, status: str) -> None:
    campaign, [message] = doubtful(alice)
    path = f"{page_of(campaign)}messages/{message.pk}/{action}/"
    assert browser(bob).post(path).status_code == 403
    assert browser(alice).get(path).status_code == 405
    browser(alice).post(path)
    message.refresh_from_db()
    assert message.status == status


def test_what_cannot_be_made_of_a_message_is_404(alice: User) -> None:
    campaign, [message] = doubtful(alice)
    assert browser(alice).post(f"{page_of(campaign)}messages/{message.pk}/explode/").status_code == 404
