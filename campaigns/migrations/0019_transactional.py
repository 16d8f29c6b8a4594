from django.db import migrations, models


class Migration(migrations.Migration):
    """A new name in the code; the column keeps its name, so nothing changes in the database."""

    dependencies = [("campaigns", "0018_shared_clock")]

    operations = [
        migrations.AlterField(
            "campaign", "direct", models.BooleanField(db_column="direct", default=False, editable=False)
        ),
        migrations.RenameField("campaign", "direct", "transactional"),
    ]
