from django.db import migrations, models
from django.db.models import CharField, ForeignKey


class Migration(migrations.Migration):
    """New names in the code; tables and columns keep theirs, so nothing changes in the database."""

    dependencies = [("directory", "0006_import_failures")]

    operations = [
        migrations.AlterModelTable("setaside", "directory_setaside"),
        migrations.RenameModel("SetAside", "RejectedRow"),
        migrations.AlterField(
            "rejectedrow",
            "of",
            ForeignKey("directory.Import", on_delete=models.CASCADE, related_name="rejected_rows"),
        ),
        migrations.AlterField(
            "bulkaction",
            "deed",
            CharField(
                "action",
                choices=[
                    ("tag", "Add a tag"),
                    ("untag", "Remove a tag"),
                    ("deactivate", "Deactivate"),
                    ("reactivate", "Reactivate"),
                    ("merge", "Merge a tag"),
                    ("delete_tag", "Delete a tag"),
                ],
                db_column="deed",
                max_length=10,
            ),
        ),
        migrations.RenameField("bulkaction", "deed", "kind"),
    ]
