from django.db import migrations
from django.db.models import CASCADE, BooleanField, IntegerField, OneToOneField


class Migration(migrations.Migration):
    """New names in the code; tables and columns keep theirs, so nothing changes in the database."""

    dependencies = [("directory", "0008_plain_names")]

    operations = [
        migrations.AlterField(
            "lastcontacted",
            "contact",
            OneToOneField(
                "directory.contact",
                on_delete=CASCADE,
                primary_key=True,
                related_name="last_contacted",
                serialize=False,
            ),
        ),
        migrations.AlterField("import", "folded", IntegerField(db_column="folded", default=0)),
        migrations.RenameField("import", "folded", "duplicate"),
        migrations.AlterField("import", "left_alone", IntegerField(db_column="left_alone", default=0)),
        migrations.RenameField("import", "left_alone", "not_owned"),
        migrations.AlterField(
            "import",
            "headed",
            BooleanField(db_column="headed", default=True, help_text="Whether the first row is the header"),
        ),
        migrations.RenameField("import", "headed", "has_header"),
    ]
