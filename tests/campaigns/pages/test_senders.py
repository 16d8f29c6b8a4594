"""The choice of a sender name in the composer, and where it is shown."""

from typing import Any

import pytest
from django.conf import LazySettings

from accounts.models import User
from campaigns.models import Campaign, Gateway, Message
from campaigns.pages.senders import sender_choices
from tests import factories
from tests.campaigns.browser_client import NEW, PREVIEW, browser, composed, htmx, page_of
from tests.campaigns.outcomes import started

pytestmark = pytest.mark.django_db

VESTNIK, SHOP = {"name": "Vestnik", "countries": ["KZ", "RU"]}, {"name": "Shop", "countries": []}
NOTHING = ("", "Default of the gateway")


def gateway(name: str, *senders: dict[str, Any], kind: str = "kannel") -> Gateway:
    return Gateway.objects.create(name=name, kind=kind, senders=senders)


def test_without_sender_names_there_is_no_field(alice: User) -> None:
    gateway("second")
    gateway("third", SHOP, kind="probe")
    assert sender_choices(None) == [NOTHING]
    assert 'name="sender"' not in browser(alice).get(NEW).content.decode()
    browser(alice).post(NEW, composed())
    assert Campaign.objects.get().sender is None


def test_a_single_gateway_has_a_plain_list(alice: User, settings: LazySettings) -> None:
    settings.GATEWAY = "kannel"
    gateway("kannel", VESTNIK, SHOP, kind="")
    assert sender_choices(None) == [NOTHING, ("Vestnik", "Vestnik (KZ, RU)"), ("Shop", "Shop")]


def test_several_gateways_are_groups(settings: LazySettings) -> None:
    settings.GATEWAY = "kannel"
    gateway("kannel", SHOP, kind="")
    gateway("another", VESTNIK, SHOP)
    assert sender_choices(None) == [
        NOTHING,
        ("Default", [("Shop", "Shop")]),
        ("another", [("Vestnik", "Vestnik (KZ, RU)"), ("Shop", "Shop")]),
    ]


def test_a_name_that_is_no_longer_allowed_stays_until_it_is_changed(alice: User) -> None:
    second = gateway("second", SHOP)
    campaign = factories.campaign(alice, draft=True, gateway=second, sender="Shop")
    Gateway.objects.update(senders=[])
    assert sender_choices("Shop") == [NOTHING, ("Shop", "Shop")]
    client = browser(alice)
    assert '<option value="Shop" selected>' in client.get(f"{page_of(campaign)}edit/").content.decode()
    fields = composed(text=campaign.text, gateway="second", action="save")
    assert client.post(f"{page_of(campaign)}edit/", {**fields, "sender": "Shop"}).status_code == 302
    assert client.post(f"{page_of(campaign)}edit/", fields).status_code == 302
    campaign.refresh_from_db()
    assert campaign.sender is None


def test_it_is_chosen_and_shown_before_and_after_the_launch(alice: User) -> None:
    gateway("second", VESTNIK, SHOP)
    factories.contact(alice)
    client, fields = browser(alice), composed(gateway="second", sender="Vestnik")
    assert "From Vestnik" in client.post(PREVIEW, fields, headers=htmx("preview")).content.decode()
    review = client.post(PREVIEW, fields, headers=htmx("review-body")).content.decode()
    assert "Vestnik" in review
    assert (
        "Default of the gateway"
        in client.post(PREVIEW, composed(gateway="second"), headers=htmx("review-body")).content.decode()
    )
    client.post(NEW, fields)
    campaign = Campaign.objects.get()
    assert campaign.sender == "Vestnik"
    assert "From Vestnik" in client.get(page_of(campaign)).content.decode()


def test_a_name_of_another_gateway_is_refused_at_the_field(alice: User) -> None:
    gateway("second", VESTNIK)
    gateway("third", SHOP)
    client, fields = browser(alice), composed(gateway="second", sender="Shop")
    review = client.post(PREVIEW, fields, headers=htmx("review-body")).content.decode()
    assert "does not allow this sender name. It allows: Vestnik." in review
    assert 'value="launch"' not in review
    page = client.post(NEW, fields)
    assert (page.status_code, "id_sender_error" in page.content.decode()) == (422, True)
    assert not Campaign.objects.exists()


def test_a_running_campaign_shows_it_locked(alice: User) -> None:
    second = gateway("second", VESTNIK)
    campaign, _run = started(alice, contacts=1, gateway=second, sender="Vestnik")
    client = browser(alice)
    page = client.get(f"{page_of(campaign)}edit/")
    assert page.context["form"].fields["sender"].disabled
    assert client.post(f"{page_of(campaign)}edit/", composed(name="New", sender="")).status_code == 302
    campaign.refresh_from_db()
    assert (campaign.name, campaign.sender) == ("New", "Vestnik")
    assert "From Vestnik" in client.get(page_of(campaign)).content.decode()


def test_a_message_shows_its_sender(alice: User) -> None:
    campaign, run = started(alice, contacts=1)
    message = run.messages.get()
    address = f"{page_of(campaign)}messages/{message.pk}/"
    assert "Sender" not in browser(alice).get(address).content.decode()
    Message.objects.update(sender="Vestnik")
    assert "<dt>Sender</dt><dd>Vestnik</dd>" in browser(alice).get(address).content.decode()


def test_a_test_from_the_composer_has_the_chosen_name(alice: User) -> None:
    gateway("second", VESTNIK)
    client = browser(alice)
    assert "#id_sender" in client.get(NEW).content.decode()
    fields = {"phone": "+7 916 123-45-67", "text": "Hello", "gateway": "second"}
    refused = client.post("/campaigns/test/", {**fields, "sender": "Other"}, headers=htmx())
    assert (refused.status_code, "It allows: Vestnik" in refused.content.decode()) == (422, True)
    client.post("/campaigns/test/", {**fields, "sender": "Vestnik"}, headers=htmx())
    client.post("/campaigns/test/", fields, headers=htmx())
    assert list(Message.objects.order_by("pk").values_list("sender", flat=True)) == ["Vestnik", None]


def test_a_test_of_a_paused_campaign_keeps_what_cannot_be_changed(alice: User) -> None:
    second = gateway("second", VESTNIK)
    campaign, _run = started(alice, contacts=1, gateway=second, sender="Vestnik")
    fields = {"phone": "+7 916 123-45-67", "text": "Another text"}
    browser(alice).post(f"{page_of(campaign)}test/", fields, headers=htmx())
    sent = Message.objects.get(contact=None)
    assert (sent.text, sent.run.campaign.gateway_id, sent.sender) == ("Another text", "second", "Vestnik")
    campaign.refresh_from_db()
    assert campaign.text != "Another text"
