"""Trigrams find a part of a name or phone, where the database has them; who has opted out comes onto the list."""

from django.contrib.postgres.operations import TrigramExtension
from django.db import migrations


def index_trigrams(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("CREATE INDEX contact_search ON directory_contact USING gin (search gin_trgm_ops)")


def drop_trigrams(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX contact_search")


def list_opted_out(apps, schema_editor):
    Contact, Suppression = apps.get_model("directory", "Contact"), apps.get_model("directory", "Suppression")
    opted_out = Contact.objects.filter(opted_out=True).values_list("phone", "owner_id")
    rows = (Suppression(phone=phone, by_id=owner) for phone, owner in opted_out.iterator(chunk_size=2000))
    Suppression.objects.bulk_create(rows, batch_size=2000, ignore_conflicts=True)


class Migration(migrations.Migration):

    dependencies = [
        ("directory", "0003_large_directory"),
    ]

    operations = [
        TrigramExtension(),
        migrations.RunPython(index_trigrams, drop_trigrams),
        migrations.RunPython(list_opted_out, migrations.RunPython.noop),
    ]
