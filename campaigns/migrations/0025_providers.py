from django.db import migrations, models


class Migration(migrations.Migration):
    """Gateways by description."""

    dependencies = [("campaigns", "0024_provider_ids")]

    operations = [
        migrations.AddField(
            "gateway", "preset", models.CharField("provider", blank=True, db_default="", default="", max_length=40)
        ),
        migrations.AddField("gateway", "definition", models.TextField("description", blank=True, db_default="", default="")),
        migrations.AddField(
            "gateway",
            "options",
            models.JSONField("account", blank=True, db_default=models.Value({}, models.JSONField()), default=dict),
        ),
    ]
