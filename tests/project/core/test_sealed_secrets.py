"""Secrets in the database: unreadable without the current key or a former one."""

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from accounts.models import User
from accounts.webhooks.models import Webhook
from project.core import sealed_secrets

pytestmark = pytest.mark.django_db


@pytest.fixture
def hook(alice: User) -> Webhook:
    return Webhook.objects.create(owner=alice, url="https://8.8.8.8/hook")


def stored() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM webhooks_webhook")
        return str(cursor.fetchone()[0])


def test_the_database_holds_a_token_and_the_instance_the_secret(hook: Webhook) -> None:
    assert hook.secret not in stored()
    assert hook.secret not in sealed_secrets.seal(hook.secret) != sealed_secrets.seal(hook.secret)
    assert Webhook.objects.get().secret == hook.secret
    assert Webhook.objects.only("url").get().secret == hook.secret


def test_empty_text_stays_empty() -> None:
    assert sealed_secrets.seal("") == sealed_secrets.unseal("") == ""


def test_a_row_that_is_saved_keeps_a_secret_that_nobody_has_read(hook: Webhook) -> None:
    before = stored()
    Webhook.objects.get().save()
    assert stored() == before


def test_changed_key_needs_the_old_one_until_resealing(hook: Webhook, settings: LazySettings) -> None:
    old, settings.SECRET_KEY = settings.SECRET_KEY, "another-key" * 6
    row = Webhook.objects.get()
    assert row.url == hook.url, "a locked secret spoils nothing else"
    with pytest.raises(sealed_secrets.Locked):
        _ = row.secret
    with pytest.raises(CommandError, match="SECRET_KEY_FALLBACKS"):
        call_command("reseal")
    settings.SECRET_KEY_FALLBACKS = [old]
    assert Webhook.objects.get().secret == hook.secret
    call_command("reseal")
    settings.SECRET_KEY_FALLBACKS = []
    assert Webhook.objects.get().secret == hook.secret


def test_a_token_that_was_tampered_with_is_refused() -> None:
    token = sealed_secrets.seal("secret")
    with pytest.raises(sealed_secrets.Locked):
        sealed_secrets.unseal(token[:-4] + "AAA=")


@pytest.mark.django_db(transaction=True)
def test_the_secrets_of_before_are_sealed_by_the_migration_and_back(hook: Webhook) -> None:
    def migrate(name: str) -> None:
        MigrationExecutor(connection).migrate([("webhooks", name)])

    migrate("0001_initial")
    assert stored() == hook.secret
    migrate("0002_sealed_secrets")
    assert stored() != hook.secret
    assert Webhook.objects.get().secret == hook.secret
