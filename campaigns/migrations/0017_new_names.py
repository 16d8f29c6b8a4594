from django.db import migrations, models


class Migration(migrations.Migration):
    """New names in the code; the columns keep theirs, so nothing changes in the database."""

    dependencies = [("campaigns", "0016_unsaved")]

    operations = [
        migrations.AlterField(
            "run",
            "remedy",
            models.CharField(
                blank=True,
                choices=[("retry", "Retry"), ("resend", "Resend"), ("sent", "Sent"), ("failed", "Failed")],
                db_column="remedy",
                default="",
                editable=False,
                max_length=6,
            ),
        ),
        migrations.AlterField(
            "run", "remedy_before", models.DateTimeField(db_column="remedy_before", editable=False, null=True)
        ),
        migrations.RenameField("run", "remedy", "resolution"),
        migrations.RenameField("run", "remedy_before", "resolution_before"),
    ]
