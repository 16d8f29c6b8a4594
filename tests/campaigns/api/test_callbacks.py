"""Callbacks of gateways: bodies of any format, both kinds of keys, and the answer that the provider wants."""

from base64 import b64encode
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client

from campaigns.api import callbacks
from campaigns.gateways import registry
from campaigns.gateways.drivers import DRIVERS
from campaigns.gateways.drivers.probe import Probe
from campaigns.gateways.protocol import Acknowledgement, Callback, Incoming, InvalidReceipt, Receipt, Reported
from campaigns.models import Gateway, IncomingMessage, WaitingReceipt

pytestmark = pytest.mark.django_db

URL = "/api/v1/callbacks/mirror"


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A gateway that keeps its callbacks in `seen`, and reports `reported`."""
    state = SimpleNamespace(seen=[], reported=Reported())

    class Mirror(Probe):
        kind, label = "mirror", "Mirror"

        def parse_callback(self, callback: Callback) -> Reported:
            state.seen.append(callback)
            return state.reported  # type: ignore[no-any-return]

    monkeypatch.setitem(DRIVERS, "mirror", Mirror)
    Gateway.objects.create(name="mirror", kind="mirror", url="http://127.0.0.1:1")
    state.driver = Mirror
    return state


def key() -> str:
    return registry.callback_address("mirror").partition("key=")[2]


def basic(password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(f'anyone:{password}'.encode()).decode()}"}


def test_receipts_and_messages_of_one_callback_are_stored_together(mirror: Any) -> None:
    mirror.reported = Reported(
        [Receipt(None, delivered=True, provider_id="a")], [Incoming("+79161234567", "STOP"), Incoming("Bank", "Hi")]
    )
    answer = Client().post(f"{URL}?key={key()}", "{}", content_type="application/json")
    assert (answer.status_code, answer.json()) == (200, {"receipts": 1, "incoming": 2})
    assert (WaitingReceipt.objects.get().provider_id, IncomingMessage.objects.count()) == ("a", 2)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/x-www-form-urlencoded", b"MessageSid=SM1&MessageStatus=delivered"),
        ("text/xml", "<?xml version='1.0' encoding='windows-1251'?><sms>Привет</sms>".encode("cp1251")),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="id"\r\n\r\n7\r\n--x--\r\n'),
        ("", b"\xff\x00 anything"),
    ],
)
def test_the_driver_gets_the_body_as_it_came(mirror: Any, content_type: str, body: bytes) -> None:
    answer = Client().post(f"{URL}?key={key()}&message=7", body, content_type=content_type, headers={"X-Sign": "s"})
    assert answer.status_code == 200, answer.content
    (callback,) = mirror.seen
    assert (callback.body, callback.query["message"], callback.headers["x-sign"]) == (body, "7", "s")


def test_the_key_may_be_the_password(mirror: Any) -> None:
    assert Client().post(URL, "", content_type="text/plain", headers=basic(key())).status_code == 200
    assert Client().get(URL, headers=basic(key())).status_code == 200
    of_another = registry.callback_address("other").partition("key=")[2]
    for header in (basic("x"), basic(""), basic(of_another), {"Authorization": "Basic é"}, {}):
        refused = Client().post(URL, "", content_type="text/plain", headers=header)
        assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, 'Basic realm="callbacks"')
    assert len(mirror.seen) == 2


def test_the_provider_gets_the_answer_that_it_wants(mirror: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror.driver, "acknowledgement", Acknowledgement(202, "text/xml", "<Response/>"))
    answer = Client().post(f"{URL}?key={key()}", "", content_type="text/plain")
    assert (answer.status_code, answer.headers["Content-Type"], answer.content) == (202, "text/xml", b"<Response/>")


def test_too_many_reports_are_refused(mirror: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callbacks, "MAX_REPORTED", 1)
    mirror.reported = Reported([Receipt(7, delivered=True)], [Incoming("79161234567", "Hi")])
    assert Client().post(f"{URL}?key={key()}", "", content_type="text/plain").status_code == 422
    assert not WaitingReceipt.objects.exists()


def test_a_callback_that_the_driver_refuses_stores_nothing(mirror: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object, callback: Callback) -> Reported:
        raise InvalidReceipt("The signature is wrong.")

    monkeypatch.setattr(mirror.driver, "parse_callback", refuse)
    answer = Client().post(f"{URL}?key={key()}", "", content_type="text/plain")
    assert (answer.status_code, answer.json()["detail"][0]["msg"]) == (422, "The signature is wrong.")
