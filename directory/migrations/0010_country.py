from django.db import migrations
from django.db.models import CharField


class Migration(migrations.Migration):
    """Columns derived from the phone. `directory.contacts.derivation` fills them in where they are empty."""

    dependencies = [("directory", "0009_clearer_names")]

    operations = [
        migrations.AddField(
            "contact",
            "country",
            CharField(db_default="", default="", editable=False, max_length=2, verbose_name="country"),
        ),
        migrations.AddField(
            "contact",
            "line_type",
            CharField(db_default="", default="", editable=False, max_length=9, verbose_name="line type"),
        ),
    ]
