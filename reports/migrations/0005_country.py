from django.db import migrations
from django.db.models import CharField

_FACET = CharField(
    choices=[
        ("whole", "All"),
        ("operator", "Operator code"),
        ("country", "Country"),
        ("timezone", "Time zone"),
        ("tag", "Tag"),
        ("reason", "Reason"),
    ],
    max_length=8,
)


class Migration(migrations.Migration):
    """One more facet; nothing changes in the database."""

    dependencies = [("reports", "0004_plain_names")]

    operations = [
        migrations.AlterField("tally", "facet", _FACET),
        migrations.AlterField("total", "facet", _FACET),
    ]
