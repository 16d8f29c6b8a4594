"""A campaign through every preset's provider, with faults: nothing lost, nothing doubled, all figures right.

`PROVIDER_MESSAGES=1000 pytest tests/campaigns/gateways/test_provider_runs.py` sends more.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.conf import LazySettings
from django.test import Client
from django.utils.timezone import now

from accounts.models import User
from campaigns.gateways import registry
from campaigns.gateways.definitions.presets import presets
from campaigns.gateways.definitions.schema import Definition
from campaigns.gateways.definitions.templates import variables
from campaigns.messages.receipts import apply_receipts
from campaigns.models import Campaign, Gateway, Message, ProviderId, WaitingReceipt
from campaigns.planning.lifecycle import campaign_advance
from campaigns.sandbox.dialect import Dialect
from campaigns.sandbox.faults import Faults
from campaigns.sandbox.ledger import digest_of
from campaigns.sandbox.server import ProviderSandbox, serving
from campaigns.sending.pulling import pull_receipts
from campaigns.sending.session import SendSession
from campaigns.sending.transport import transport_for
from campaigns.states import MessageStatus
from tests.campaigns.engine import Inline, assert_counters_match, campaign_to, statuses
from tests.campaigns.sandbox.callbacks import Received, callback_server
from tests.stack import wait_for

pytestmark = pytest.mark.django_db

PRESETS = presets()
NUMBER = int(os.environ.get("PROVIDER_MESSAGES", "40"))
TOKEN = "s3cret-token"
SENT = (MessageStatus.SENT, MessageStatus.DELIVERED, MessageStatus.UNDELIVERED)
FAULTS = Faults(
    refuse=0.04, throttle=0.03, no_money=0.02, unauthorized=0.02, html=0.03, lost=0.03, reset=0.03,
    undelivered=0.2, receipt_twice=0.3, receipt_after=0.1,
)  # fmt: skip


@pytest.fixture(params=sorted(PRESETS))
def preset(request: pytest.FixtureRequest) -> str:
    """The name of each preset in turn."""
    return str(request.param)


@contextmanager
def provider(preset: str, faults: Faults) -> Iterator[tuple[ProviderSandbox, list[Received]]]:
    """The provider of a preset with its gateway, and what it has posted to us."""
    definition = PRESETS[preset]
    dialect = Dialect(definition, TOKEN)
    with callback_server() as (address, received):
        sandbox = ProviderSandbox(faults, token=TOKEN, seed=1, dialect=dialect, callback=address)
        with serving(sandbox), pytest.MonkeyPatch.context() as patch:
            patch.setattr(registry, "callback_address", lambda name: address)
            patch.setattr(registry, "key_fits", lambda name, key: (name, key) == ("p", "k"))
            _gateway(preset, definition, sandbox.url)
            yield sandbox, received


def _gateway(preset: str, definition: Definition, url: str) -> None:
    given = definition.examples["request"].get("fields", {})
    row = Gateway(name="p", kind="http", preset=preset, url=url)
    row.options = {name: given.get(name, "x1") for name, field in definition.fields.items() if not field.secret}
    secrets = [name for name, field in definition.fields.items() if field.secret]
    row.secret = "{" + ", ".join(f'"{name}": "{TOKEN}"' for name in secrets) + "}"
    row.save()


def send_everything(campaign: Campaign) -> None:
    """Send until nothing waits. Holds and stops end at once, as if time had passed."""
    deadline = time.monotonic() + 60 + NUMBER / 5
    while campaign.status in ("scheduled", "running"):
        assert time.monotonic() < deadline, Counter(Message.objects.values_list("status", "reason"))
        campaign_advance(campaign.pk)
        driver = registry.driver("p")
        transport = transport_for(driver)
        try:
            SendSession(driver, transport, executor=Inline()).run()
        finally:
            transport.close()
        Gateway.objects.update(held_until=None, open_until=None, opened_at=None, failures=0)
        campaign.refresh_from_db()


def apply_waiting() -> None:
    WaitingReceipt.objects.update(due_at=now())
    apply_receipts()


def post_back(received: list[Received], client: Client) -> None:
    """Deliver what the provider has posted, in any order."""
    for each in random.Random(7).sample(received, len(received)):
        url = f"/api/v1/callbacks/p?{each.query}"
        headers = {"content-type": each.headers.get("content-type", "text/plain"), **each.signed}
        call = client.generic(each.method, url, each.body, headers=headers)
        assert call.status_code in (200, 201, 202, 204), call.content
    apply_waiting()


def test_nothing_is_lost_doubled_or_miscounted(
    preset: str, alice: User, settings: LazySettings, client: Client
) -> None:
    settings.RETRY_BASE, settings.RETRY_CAP, settings.MAX_ATTEMPTS = 0.01, 0.05, 50
    with provider(preset, FAULTS) as (sandbox, received):
        campaign = campaign_to(alice, NUMBER, gateway=Gateway.objects.get(pk="p"), text="Hello {phone}")
        send_everything(campaign)
        assert_counters_match(campaign)
        accepted = Counter(row.digest for row in sandbox.ledger.messages.values())
        rows = {digest_of(row.recipient, row.text): row for row in Message.objects.all()}
        assert len(rows) == NUMBER
        assert accepted.keys() <= rows.keys()
        assert {rows[digest].status for digest in accepted} <= {*SENT, MessageStatus.UNKNOWN}
        if not PRESETS[preset].idempotent:
            assert set(accepted.values()) == {1}, "somebody got the text twice"
        sent = {digest for digest, row in rows.items() if row.status in SENT}
        assert sent <= accepted.keys()
        assert statuses(campaign)["sent"] > NUMBER / 2
        with_ids = set(ProviderId.objects.values_list("message", flat=True))
        assert with_ids <= {rows[digest].pk for digest in sent}
        wait_for(lambda: not sandbox.pending, "the receipts")
        settle(preset, received, client)
        assert_counters_match(campaign)
        found = statuses(campaign)
        if PRESETS[preset].receipts is not None or PRESETS[preset].pull is not None:
            assert found.get("sent", 0) == 0
            assert found["delivered"] > found["undelivered"] > 0
            delivered = {digest for digest, row in fresh().items() if row.status in ("delivered", "undelivered")}
            assert delivered <= accepted.keys()
            if knows_our_ids(preset):
                assert delivered == accepted.keys(), "a receipt settles what was uncertain"


def knows_our_ids(preset: str) -> bool:
    """Whether receipts contain our id, so that they find messages whose answer was lost."""
    definition = PRESETS[preset]
    named = {name for template in definition.request.templates() for name in variables(template)}
    return "callback" in named or (definition.receipts is not None and definition.receipts.message is not None)


def fresh() -> dict[bytes, Message]:
    return {digest_of(row.recipient, row.text): row for row in Message.objects.all()}


def settle(preset: str, received: list[Received], client: Client) -> None:
    """Bring the receipts: those that were posted, or those that have to be asked for."""
    if PRESETS[preset].pull is None:
        post_back(received, client)
        return
    while Message.objects.filter(status=MessageStatus.SENT).exists():
        ProviderId.objects.exclude(pull_at=None).update(pull_at=now())
        pull_receipts()
        apply_waiting()
