"""With the real Kannel: messages leave, receipts turn them to delivered and undelivered, and each is accounted for."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import LazySettings, settings
from django.test import Client

from accounts.models import User
from campaigns import connections
from campaigns.lifecycle import campaign_advance
from campaigns.models import Campaign, Message, WaitingReceipt
from campaigns.sending.sender import Slice
from campaigns.sending.transport import transport_for
from directory.models import Contact
from tests import factories
from tests.campaigns.engine import Inline, assert_counters_true, statuses
from tests.campaigns.kannel import MISSING, REFUSED_PREFIX, Kannel, running_kannel
from tests.campaigns.test_receipts import apply_all

# Longer than Kannel waits before it calls again for a receipt that it could not hand over.
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
    """A tenth of the phones are refused by their centre."""
    phones = [int(f"{REFUSED_PREFIX if n % 10 == 0 else '7905'}{n:07}") for n in range(number)]
    Contact.objects.bulk_create(Contact(owner=owner, phone=phone, operator_code=str(phone)[1:4]) for phone in phones)
    return factories.campaign(owner, text="Привет, {phone}!")


def turn(campaign: Campaign, kannel: Kannel) -> None:
    """One round of the worker, and the receipts that have come meanwhile."""
    campaign_advance(campaign.pk)
    adapter = connections.adapter()
    transport = transport_for(adapter)
    try:
        Slice(adapter, transport, executor=Inline(), seconds=1).run()
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
    """Whether every message has come to its end, by its receipt if it was accepted."""
    found = statuses(campaign)
    return bool(found) and not found.keys() & {"pending", "sending", "sent"}


def test_receipts_settle_what_it_accepted(alice: User, kannel: Kannel) -> None:
    campaign = make(alice, 40)
    go_on(campaign, kannel, lambda: settled(campaign), 30)
    assert statuses(campaign) == {"delivered": 36, "undelivered": 4}
    assert kannel.delivered == 36
    assert set(Message.objects.filter(status="undelivered").values_list("reason", flat=True)) == {"refused_by_centre"}
    assert_counters_true(campaign)


def test_a_wrong_password_stops_the_gateway_and_no_message(alice: User, kannel: Kannel, settings: LazySettings) -> None:
    settings.GATEWAY_TOKEN = "vestnik:wrong"
    campaign = make(alice, 5)
    turn(campaign, kannel)
    assert statuses(campaign) == {"pending": 5}


@pytest.mark.soak
def test_a_thousand_are_accounted_for_though_it_is_stopped_and_started(alice: User, kannel: Kannel) -> None:
    """A receipt that was in Kannel's memory when it was stopped never comes: its message stays sent, for who knows."""
    campaign = make(alice, 1000)
    go_on(campaign, kannel, lambda: kannel.delivered >= 200, 60)
    kannel.stop()
    turn(campaign, kannel)
    kannel.start()
    go_on(campaign, kannel, lambda: settled(campaign) or silent(campaign, kannel), 180)
    found, told = Counter(statuses(campaign)), Counter(kannel.told.values())
    assert (found["delivered"], found["undelivered"]) == (told["1"], told["2"] + told["16"])
    assert found["delivered"] + found["undelivered"] + found["sent"] + found["unknown"] == 1000
    assert found["sent"] + found["unknown"] <= 2 * settings.GATEWAY_CONCURRENCY
    assert found["delivered"] <= kannel.delivered <= 900, "nobody gets a message twice"
    assert not WaitingReceipt.objects.exists()
    assert_counters_true(campaign)


def silent(campaign: Campaign, kannel: Kannel) -> bool:
    """Whether everything has left, and Kannel has had nothing to tell for a while."""
    return not statuses(campaign).keys() & {"pending", "sending"} and time.monotonic() > kannel.told_at + SILENCE
