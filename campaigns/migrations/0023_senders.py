from django.db import migrations, models


class Migration(migrations.Migration):
    """Sender names. New columns are null or have a default, so no table is rewritten and old code works on them."""

    # One transaction for all would hold locks that senders take in another order.
    atomic = False
    dependencies = [("campaigns", "0022_prices")]

    operations = [
        migrations.AddField(
            "gateway",
            "senders",
            models.JSONField(
                "sender names", blank=True, db_default=models.Value([], models.JSONField()), default=list
            ),
        ),
        migrations.AddField("campaign", "sender", models.CharField("sender name", blank=True, max_length=20, null=True)),
        migrations.AddField("message", "sender", models.CharField("sender name", max_length=20, null=True)),
    ]
