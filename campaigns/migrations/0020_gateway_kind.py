from django.db import migrations, models


class Migration(migrations.Migration):
    """The kinds come from the drivers: nothing changes in the database."""

    dependencies = [("campaigns", "0019_transactional")]

    operations = [
        migrations.AlterField(
            "gateway", "kind", models.CharField("type", blank=True, db_default="", default="", max_length=10)
        ),
    ]
