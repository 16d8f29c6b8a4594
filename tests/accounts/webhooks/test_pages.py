"""The pages of webhooks."""

import pytest
from django.test import Client

from accounts.models import User
from accounts.webhooks.models import Delivery, DeliveryStatus, EventType, Webhook
from project.core.clock import now

pytestmark = pytest.mark.django_db


@pytest.fixture
def as_alice(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


@pytest.fixture
def hook(alice: User) -> Webhook:
    return Webhook.objects.create(owner=alice, url="https://8.8.8.8/hook", events=EventType.values)


def test_a_webhook_is_added_and_its_secret_shown_once(as_alice: Client) -> None:
    form = {"url": "https://8.8.8.8/hook", "events": ["message.sent"]}
    page = as_alice.post("/account/webhooks/", form)
    hook = Webhook.objects.get()
    assert hook.secret in page.content.decode()
    assert "no-store" in page["Cache-Control"]
    assert hook.secret not in as_alice.get("/account/webhooks/").content.decode()
    assert hook.url in as_alice.get("/account/webhooks/").content.decode()


@pytest.mark.parametrize("url", ["https://localhost/", "http://example.org/", "nonsense", ""])
def test_invalid_webhook_shows_a_field_error(as_alice: Client, url: str) -> None:
    page = as_alice.post("/account/webhooks/", {"url": url, "events": ["message.sent"]}).content.decode()
    assert "id_url_error" in page
    assert not Webhook.objects.exists()


def test_log_shows_the_reason_and_resends(as_alice: Client, hook: Webhook) -> None:
    failed = Delivery.objects.create(
        webhook=hook, events=[], number=3, status=DeliveryStatus.FAILED, reason="http_500", attempts=9
    )
    page = as_alice.get(f"/account/webhooks/{hook.pk}/").content.decode()
    assert "The server responded with status 500." in page
    answer = as_alice.post(f"/account/webhooks/{hook.pk}/deliveries/{failed.pk}/resend/", follow=True)
    assert "The delivery is being sent again." in answer.content.decode()
    failed.refresh_from_db()
    assert (failed.status, failed.attempts) == ("pending", 0)
    again = as_alice.post(f"/account/webhooks/{hook.pk}/deliveries/{failed.pk}/resend/", follow=True)
    assert "already in progress" in again.content.decode()


def test_disabled_webhook_is_shown_and_enabled(as_alice: Client, hook: Webhook) -> None:
    Webhook.objects.update(disabled_at=now(), failures=14)
    assert "1 webhook is disabled." in as_alice.get("/account/").content.decode()
    assert "Turn on" in as_alice.get(f"/account/webhooks/{hook.pk}/").content.decode()
    as_alice.post(f"/account/webhooks/{hook.pk}/enable/")
    hook.refresh_from_db()
    assert (hook.disabled_at, hook.failures) == (None, 0)


def test_webhook_is_deleted(as_alice: Client, hook: Webhook) -> None:
    as_alice.post(f"/account/webhooks/{hook.pk}/delete/")
    assert not Webhook.objects.exists()


def test_other_users_cannot_see_it(client: Client, bob: User, hook: Webhook) -> None:
    client.force_login(bob)
    delivery = Delivery.objects.create(webhook=hook, events=[], number=1, status=DeliveryStatus.FAILED)
    assert client.get(f"/account/webhooks/{hook.pk}/").status_code == 404
    for action in ("delete", "enable", f"deliveries/{delivery.pk}/resend"):
        assert client.post(f"/account/webhooks/{hook.pk}/{action}/").status_code == 404
    assert hook.url not in client.get("/account/webhooks/").content.decode()


def test_invalid_cursor_is_ignored(as_alice: Client, hook: Webhook) -> None:
    for cursor in ("x", "-1", "9" * 30):
        assert as_alice.get(f"/account/webhooks/{hook.pk}/?cursor={cursor}").status_code == 200
