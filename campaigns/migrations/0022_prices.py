import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Index, Q

import project.core.money
from project.core.sql import IndexAlongside


class Migration(migrations.Migration):
    """Prices, costs, budgets, and routes by number. New columns are null or have a default, so no table is rewritten."""

    atomic = False
    dependencies = [("campaigns", "0021_plain_names")]

    operations = [
        migrations.CreateModel(
            "Price",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("gateway", models.CharField("gateway", max_length=40)),
                ("area", models.CharField("country or prefix", blank=True, max_length=15)),
                ("valid_from", models.DateField("valid from")),
                ("price", project.core.money.MoneyField("price per part")),
            ],
            options={
                "verbose_name": "price",
                "verbose_name_plural": "prices",
                "constraints": [
                    models.UniqueConstraint(fields=["gateway", "area", "valid_from"], name="price_once")
                ],
            },
        ),
        migrations.CreateModel(
            "RunCost",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("hour", models.DateTimeField(db_index=True)),
                ("gateway", models.CharField(max_length=40)),
                ("country", models.CharField(max_length=2)),
                ("messages", models.IntegerField(default=0)),
                ("parts", models.IntegerField(default=0)),
                ("cost", models.BigIntegerField(default=0)),
                (
                    "run",
                    models.ForeignKey(
                        "campaigns.run",
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="costs",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=["run", "hour", "gateway", "country"], name="run_cost")
                ],
            },
        ),
        migrations.AddField("campaign", "budget", project.core.money.MoneyField("budget", blank=True, null=True)),
        migrations.AddField(
            "campaign", "budget_reached_at", models.DateTimeField("budget reached", editable=False, null=True)
        ),
        migrations.AddField(
            "gateway",
            "carries",
            models.CharField("countries and prefixes", blank=True, db_default="", default="", max_length=1000),
        ),
        migrations.AddField("gateway", "prices_changed_at", models.DateTimeField(editable=False, null=True)),
        migrations.AddField("message", "cost", models.BigIntegerField(null=True)),
        migrations.AddField("message", "route", models.CharField(max_length=40, null=True)),
        migrations.AddField("waitingreceipt", "cost", models.BigIntegerField(null=True)),
        migrations.AddField("run", "cost", models.BigIntegerField(db_default=0, default=0)),
        migrations.AddField("run", "reserved_cost", models.BigIntegerField(db_default=0, default=0)),
        migrations.AddField("run", "routed", models.BooleanField(db_default=False, default=False, editable=False)),
        IndexAlongside(
            "message",
            Index(
                fields=["run", "route", "due_at", "id"],
                condition=Q(listed_status="pending", route__isnull=False),
                name="message_routed",
            ),
        ),
    ]
