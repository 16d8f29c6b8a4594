from django.db import migrations, models


class Migration(migrations.Migration):
    """New names in the code; tables and columns keep theirs, so nothing changes in the database."""

    dependencies = [("reports", "0003_totals")]

    operations = [
        migrations.AlterModelTable("counted", "reports_counted"),
        migrations.RenameModel("Counted", "CountState"),
        # The constraint of the state names the field, so it is replaced there with the renamed one.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField("countstate", "again_at", models.DateTimeField(db_column="again_at")),
                migrations.RenameField("countstate", "again_at", "next_count_at"),
                migrations.AlterField(
                    "report",
                    "trouble",
                    models.CharField(
                        blank=True, db_column="trouble", default="", max_length=200, verbose_name="last error"
                    ),
                ),
                migrations.RenameField("report", "trouble", "last_error"),
                migrations.RemoveConstraint("report", "report_once"),
                migrations.AlterField(
                    "report",
                    "rhythm",
                    models.CharField(
                        choices=[("daily", "Daily"), ("weekly", "Weekly")],
                        db_column="rhythm",
                        default="daily",
                        max_length=6,
                        verbose_name="frequency",
                    ),
                ),
                migrations.RenameField("report", "rhythm", "frequency"),
                migrations.AddConstraint(
                    "report", models.UniqueConstraint(fields=["user", "frequency", "day"], name="report_once")
                ),
            ]
        ),
    ]
