"""Signing secrets are encrypted from now on."""

from django.db import migrations, models

import accounts.webhooks.models
import project.core.sealed_secrets


def seal(apps, schema_editor):
    change(apps, project.core.sealed_secrets.seal)


def unseal(apps, schema_editor):
    change(apps, project.core.sealed_secrets.unseal)


def change(apps, way):
    Webhook = apps.get_model("webhooks", "Webhook")
    for pk, secret in Webhook.objects.values_list("pk", "secret"):
        Webhook.objects.filter(pk=pk).update(secret=way(secret))


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0001_initial")]

    operations = [
        migrations.AlterField(
            "webhook", "secret", models.TextField(default=accounts.webhooks.models.new_secret, editable=False)
        ),
        migrations.RunPython(seal, unseal),
        migrations.AlterField(
            "webhook",
            "secret",
            project.core.sealed_secrets.SecretField(default=accounts.webhooks.models.new_secret, editable=False),
        ),
    ]
