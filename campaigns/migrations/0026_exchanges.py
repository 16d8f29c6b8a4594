from django.db import migrations, models


class Migration(migrations.Migration):
    """The log of exchanges with gateways."""

    dependencies = [("campaigns", "0025_providers")]

    operations = [
        migrations.CreateModel(
            "Exchange",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("gateway", models.CharField(max_length=40)),
                ("at", models.DateTimeField()),
                (
                    "direction",
                    models.CharField(
                        choices=[("out", "To the gateway"), ("in", "From the gateway")],
                        db_default="out",
                        default="out",
                        max_length=3,
                    ),
                ),
                ("message_id", models.BigIntegerField(null=True)),
                ("method", models.CharField(max_length=10)),
                ("url", models.TextField()),
                ("request", models.TextField(db_default="", default="")),
                ("status", models.PositiveSmallIntegerField(null=True)),
                ("failure", models.CharField(db_default="", default="", max_length=20)),
                ("answer", models.TextField(db_default="", default="")),
                (
                    "verdict",
                    models.CharField(
                        choices=[
                            ("sent", "Accepted"),
                            ("retry", "Not accepted, is tried again"),
                            ("refused", "Refused"),
                            ("held", "Must wait"),
                            ("unauthorised", "Stopped until a person acts"),
                            ("uncertain", "May have been accepted"),
                            ("checked", "Connection works"),
                            ("failed", "Connection does not work"),
                            ("read", "Understood"),
                            ("unread", "Not understood"),
                        ],
                        max_length=12,
                    ),
                ),
                ("reason", models.CharField(db_default="", default="", max_length=60)),
                ("duration_ms", models.PositiveIntegerField(null=True)),
            ],
            options={"indexes": [models.Index(fields=["gateway", "-id"], name="exchange_latest")]},
        ),
    ]
