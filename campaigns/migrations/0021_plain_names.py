from django.db import migrations, models


class Migration(migrations.Migration):
    """New names in the code; columns and tables keep theirs, so nothing changes in the database."""

    dependencies = [("campaigns", "0020_gateway_kind")]

    operations = [
        migrations.AlterField(
            "run", "noted", models.PositiveIntegerField(db_column="noted", default=0, editable=False)
        ),
        migrations.AlterField(
            "run", "noted_at", models.DateTimeField(db_column="noted_at", editable=False, null=True)
        ),
        migrations.AlterField("run", "noted_to", models.BigIntegerField(db_column="noted_to", default=0, editable=False)),
        migrations.AlterField(
            "gateway",
            "openings",
            models.PositiveIntegerField("failed checks in a row", db_column="openings", default=0),
        ),
        migrations.AlterModelTable("pace", "campaigns_pace"),
        migrations.RenameField("run", "noted", "contacted_messages"),
        migrations.RenameField("run", "noted_at", "contacted_updated_at"),
        migrations.RenameField("run", "noted_to", "contacted_to"),
        migrations.RenameField("gateway", "openings", "failed_probes"),
        migrations.RenameModel("Pace", "RateLimitState"),
    ]
