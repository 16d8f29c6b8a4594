"""Messages from phones through the real Kannel in the documented configuration, with an SMPP message centre."""

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from campaigns.gateways import registry
from campaigns.messages.receipts import apply_receipts
from campaigns.models import IncomingMessage, Message
from campaigns.planning.lifecycle import campaign_advance
from campaigns.sending.session import SendSession
from campaigns.sending.transport import transport_for
from directory.models import Source, Suppression
from tests import factories
from tests.campaigns.engine import Inline, statuses
from tests.campaigns.gateways import smpp
from tests.campaigns.gateways.kannel_server import MISSING, listens
from tests.campaigns.gateways.test_kannel_page import Boxes, centre
from tests.stack import wait_for

__all__ = ["centre"]
pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(MISSING, reason="needs Debian's packages kannel, kannel-extras"),
]

LATIN, CYRILLIC, OTHER = 79050000001, 79050000002, 79050000003
TEXTS = {
    "Hello @£$ äöü": 79050000011,
    "Привет, я приду 😀": 79050000012,
    "x" * 200 + "é": 79050000013,
    "Очень длинный ответ. " * 12: 79050000014,
    "a & b = 100% + c": 79050000015,
}


class Call(NamedTuple):
    """A request from Kannel."""

    method: str
    path: str
    body: bytes
    content_type: str


class _Web(BaseHTTPRequestHandler):
    """Keeps requests, which the test replays in its own transaction."""

    def do_GET(self) -> None:
        self._keep(b"")

    def do_POST(self) -> None:
        self._keep(self.rfile.read(int(self.headers["Content-Length"])))

    def _keep(self, body: bytes) -> None:
        call = Call(self.command, self.path, body, self.headers.get("Content-Type", ""))
        self.server.calls.put(call)  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@pytest.fixture
def calls(tmp_path: Path, centre: smpp.Centre, settings: Settings) -> Iterator["SimpleQueue[Call]"]:
    """What a Kannel that is connected to the message centre calls."""
    web = ThreadingHTTPServer(("127.0.0.1", 0), _Web)
    web.calls = SimpleQueue()  # type: ignore[attr-defined]
    threading.Thread(target=web.serve_forever, daemon=True).start()
    boxes = Boxes(tmp_path, centre)
    settings.GATEWAY, settings.GATEWAY_TOKEN = "kannel", "vestnik:a-long-one"
    settings.GATEWAY_URL, settings.PUBLIC_URL = f"http://127.0.0.1:{boxes.send}", f"http://127.0.0.1:{web.server_port}"
    page = (tmp_path / "kannel.conf").read_text()
    page, number = re.subn(r"https://sms\.example\.org\S+?KEY", registry.callback_address("kannel"), page)
    assert number == 1
    (tmp_path / "kannel.conf").write_text(page)
    processes = [boxes.start("bearerbox")]
    try:
        wait_for(lambda: listens(boxes.box), "bearerbox")
        processes.append(boxes.start("smsbox"))
        wait_for(lambda: listens(boxes.send), "smsbox")
        wait_for(lambda: centre.bound, "the message centre")
        yield web.calls  # type: ignore[attr-defined]
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()
        web.shutdown()


def replay(calls: "SimpleQueue[Call]", number: int) -> None:
    """Take this many calls, put them through the API, and process them."""
    for _ in range(number):
        call = calls.get(timeout=20)
        answer = Client().generic(call.method, call.path, call.body, content_type=call.content_type)
        assert (answer.status_code, answer.content) == (200, b""), answer.content
    apply_receipts()


def run_session() -> None:
    driver = registry.driver()
    transport = transport_for(driver)
    try:
        SendSession(driver, transport, executor=Inline(), seconds=2).run()
    finally:
        transport.close()


def test_texts_of_any_alphabet_and_length_arrive_as_they_were_written(
    calls: "SimpleQueue[Call]", centre: smpp.Centre
) -> None:
    for text, phone in TEXTS.items():
        centre.submit(str(phone), text)
    replay(calls, len(TEXTS))
    found = {row.text: row.phone for row in IncomingMessage.objects.all()}
    assert found == TEXTS
    row = IncomingMessage.objects.latest("pk")
    assert (row.gateway, row.recipient, row.action) == ("kannel", "4711", "")
    assert row.sent_at is not None
    assert abs((row.received_at - row.sent_at).total_seconds()) < 120
    assert len(set(IncomingMessage.objects.values_list("provider_id", flat=True)) - {""}) == len(TEXTS)


def test_a_stop_suppresses_the_contact_and_is_confirmed_once_while_a_campaign_runs(
    calls: "SimpleQueue[Call]", centre: smpp.Centre, admin: User, settings: Settings
) -> None:
    contacts = [factories.contact(admin, phone=phone) for phone in (LATIN, CYRILLIC, OTHER)]
    campaign = factories.campaign(admin, text="Sale")
    campaign_advance(campaign.pk)
    for _ in range(2):
        centre.submit(str(LATIN), "Stop")
        centre.submit(str(CYRILLIC), "СТОП")
    replay(calls, 4)
    assert dict(Suppression.objects.values_list("phone", "source")) == {LATIN: Source.REPLY, CYRILLIC: Source.REPLY}
    for contact in contacts:
        contact.refresh_from_db()
    assert [contact.opted_out for contact in contacts] == [True, True, False]
    run_session()
    assert statuses(campaign) == {"cancelled": 2, "sent": 1}
    wait_for(lambda: len(centre.texts()) == 3, "all texts")
    assert sorted(centre.texts()) == sorted(["Sale", settings.STOP_TEXT, settings.STOP_TEXT_RU])
    assert Message.objects.filter(contact=None).count() == 2
