"""The providers' ids of messages, receipts by them, and incoming messages."""

import django.db.models.deletion
from django.db import migrations, models

import project.core.clock


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0023_senders"), ("directory", "0011_country_indexes")]
    operations = [
        migrations.AddField(
            "waitingreceipt", "provider_id", models.CharField(db_default="", default="", max_length=100)
        ),
        migrations.AlterField("waitingreceipt", "message_id", models.BigIntegerField(null=True)),
        migrations.CreateModel(
            "ProviderId",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("gateway", models.CharField(max_length=40)),
                ("provider_id", models.CharField(max_length=100)),
                (
                    "message",
                    models.ForeignKey(
                        "campaigns.message",
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="provider_ids",
                    ),
                ),
                ("delivered", models.BooleanField(null=True)),
                ("pull_at", models.DateTimeField(null=True)),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=["provider_id", "gateway"], name="provider_id_once")],
                "indexes": [
                    models.Index(
                        fields=["gateway", "pull_at"],
                        condition=models.Q(pull_at__isnull=False),
                        name="provider_id_pull",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            "IncomingMessage",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("gateway", models.CharField(max_length=40)),
                ("provider_id", models.CharField(blank=True, default="", max_length=100)),
                ("fingerprint", models.CharField(max_length=64)),
                ("phone", models.BigIntegerField(null=True)),
                ("sender", models.CharField(max_length=40)),
                ("recipient", models.CharField(blank=True, default="", max_length=40)),
                ("text", models.TextField(blank=True, default="")),
                ("sent_at", models.DateTimeField(null=True)),
                ("received_at", models.DateTimeField(db_index=True, default=project.core.clock.now)),
                (
                    "contact",
                    models.ForeignKey(
                        "directory.contact",
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="incoming",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["phone", "id"], name="incoming_phone")],
                "constraints": [models.UniqueConstraint(fields=["fingerprint"], name="incoming_once")],
            },
        ),
    ]
