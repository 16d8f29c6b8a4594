"""The real Kannel: messages are sent, receipts set delivered and undelivered, and each message is accounted for."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import LazySettings, settings
from django.test import Client

from accounts.models import User
from campaigns.gateways import registry
from campaigns.models import Campaign, Message, WaitingReceipt
from campaigns.planning.lifecycle import campaign_advance
from campaigns.sending.session import SendSession
from campaigns.sending.transport import transport_for
from directory.models import Contact
from tests import factories
from tests.campaigns.engine import Inline, assert_counters_match, statuses
from tests.campaigns.gateways.kannel_server import MISSING, REFUSED_PREFIX, Kannel, running_kannel
from tests.campaigns.messages.test_receipts import apply_all

# Longer than Kannel waits before it retries a receipt.
SILENCE = 15
pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(MISSING, reason="needs Debian's packages kannel, kannel-extras"),
]


@pytest.fixture
def kannel(tmp_path: Path, settings: LazySettings) -> Iterator[Kannel]:
    with running_kannel(tmp_path) as running:
        settings.GATEWAY, settings.GATEWAY_URL, settings.GATEWAY_TOKEN = "kannel", running.url, "vestnik:secret"
        settings.PUBLIC_URL = running.callback
        settings.RETRY_BASE, settings.RETRY_CAP, settings.MAX_ATTEMPTS = 0.01, 0.2, 100
        yield running


def make(owner: User, number: int) -> Campaign:
    """A campaign of whose phones a tenth are refused by their message centre."""
    phones = [int(f"{REFUSED_PREFIX if n % 10 == 0 else '7905'}{n:07}") for n in range(number)]
    Contact.objects.bulk_create(Contact(owner=owner, phone=phone, operator_code=str(phone)[1:4]) for phone in phones)
    return factories.campaign(owner, text="Привет, {phone}!")


def turn(campaign: Campaign, kannel: Kannel) -> None:
    """Run one round of the worker, and apply new receipts."""
    campaign_advance(campaign.pk)
    driver = registry.driver()
    transport = transport_for(driver)
    try:
        SendSession(driver, transport, executor=Inline(), seconds=1).run()
    finally:
        transport.close()
    for path in kannel.receipts():
        assert Client().get(path).status_code == 200
    apply_all()


def go_on(campaign: Campaign, kannel: Kannel, until: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline, Counter(Message.objects.values_list("status", "reason"))
        turn(campaign, kannel)


def settled(campaign: Campaign) -> bool:
    """Whether every message has a final status, from a receipt if it was accepted."""
    found = statuses(campaign)
    return bool(found) and not found.keys() & {"pending", "sending", "sent"}


def test_receipts_set_the_outcome_of_accepted_messages(alice: User, kannel: Kannel) -> None:
    campaign = make(alice, 40)
    go_on(campaign, kannel, lambda: settled(campaign), 30)
    assert statuses(campaign) == {"delivered": 36, "undelivered": 4}
    assert kannel.delivered == 36
    assert set(Message.objects.filter(status="undelivered").values_list("reason", flat=True)) == {"refused_by_centre"}
    assert_counters_match(campaign)


def test_a_wrong_password_stops_the_gateway_and_fails_no_message(
    alice: User, kannel: Kannel, settings: LazySettings
) -> None:
    settings.GATEWAY_TOKEN = "vestnik:wrong"
    campaign = make(alice, 5)
    turn(campaign, kannel)
    assert statuses(campaign) == {"pending": 5}


@pytest.mark.soak
def test_a_thousand_messages_are_accounted_for_across_restarts(alice: User, kannel: Kannel) -> None:
    """A receipt in Kannel's memory is lost when it stops, so the message stays sent."""
    campaign = make(alice, 1000)
    go_on(campaign, kannel, lambda: kannel.delivered >= 200, 60)
    kannel.stop()
    turn(campaign, kannel)
    kannel.start()
    go_on(campaign, kannel, lambda: settled(campaign) or silent(campaign, kannel), 180)
    found, reported = Counter(statuses(campaign)), Counter(kannel.reported.values())
    assert (found["delivered"], found["undelivered"]) == (reported["1"], reported["2"] + reported["16"])
    assert found["delivered"] + found["undelivered"] + found["sent"] + found["unknown"] == 1000
    assert found["sent"] + found["unknown"] <= 2 * settings.GATEWAY_CONCURRENCY
    assert found["delivered"] <= kannel.delivered <= 900, "nobody gets a message twice"
    assert not WaitingReceipt.objects.exists()
    assert_counters_match(campaign)


def silent(campaign: Campaign, kannel: Kannel) -> bool:
    """Whether everything is sent, and Kannel has reported nothing for a while."""
    return not statuses(campaign).keys() & {"pending", "sending"} and time.monotonic() > kannel.reported_at + SILENCE
