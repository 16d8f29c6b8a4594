from django.db import migrations, models
from django.db.models import ForeignKey

_JOB = "import_job"


def _key(related_name: str) -> "ForeignKey[models.Model]":
    return ForeignKey(
        "directory.Import", on_delete=models.CASCADE, related_name=related_name, db_column="of_id"
    )


class Migration(migrations.Migration):
    """New names in the code; tables and columns keep theirs, so nothing changes in the database."""

    dependencies = [("directory", "0007_new_names")]

    operations = [
        migrations.AlterModelTable("lastwritten", "directory_lastwritten"),
        migrations.RenameModel("LastWritten", "LastContacted"),
        migrations.AlterModelTable("piece", "directory_piece"),
        migrations.RenameModel("Piece", "Chunk"),
        # Constraints of the state name fields, so they are replaced there with the renamed ones.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RemoveConstraint("chunk", "piece_of_import"),
                migrations.RemoveConstraint("rejectedrow", "row_of_import"),
                migrations.AlterField("chunk", "of", _key("chunks")),
                migrations.AlterField("batch", "of", _key("batches")),
                migrations.AlterField("rejectedrow", "of", _key("rejected_rows")),
                migrations.RenameField("chunk", "of", _JOB),
                migrations.RenameField("batch", "of", _JOB),
                migrations.RenameField("rejectedrow", "of", _JOB),
                migrations.AddConstraint(
                    "chunk", models.UniqueConstraint(fields=[_JOB, "number"], name="piece_of_import")
                ),
                migrations.AddConstraint(
                    "rejectedrow", models.UniqueConstraint(fields=[_JOB, "row"], name="row_of_import")
                ),
            ]
        ),

        migrations.AlterField(
            model_name='batch',
            name='moment',
            field=models.DateTimeField(help_text='`updated_at` of the written contacts'),
        ),
        migrations.AlterField(
            model_name='import',
            name='failures',
            field=models.SmallIntegerField(db_default=0, default=0, help_text='Consecutive attempts without progress'),
        ),
        migrations.AlterField(
            model_name='import',
            name='headed',
            field=models.BooleanField(default=True, help_text='Whether the first row is the header'),
        ),
        migrations.AlterField(
            model_name='import',
            name='kept_contacts',
            field=models.JSONField(default=list, help_text='The first contacts that could not be undone'),
        ),
        migrations.AlterField(
            model_name='import',
            name='mapping',
            field=models.JSONField(default=list, help_text='The field of each column, or empty'),
        ),
        migrations.AlterField(
            model_name='import',
            name='row',
            field=models.IntegerField(default=0, help_text='The last processed row, as in spreadsheets'),
        ),
        migrations.AlterField(
            model_name='import',
            name='rows',
            field=models.IntegerField(help_text='Number of rows, known after the check', null=True),
        ),
        migrations.AlterField(
            model_name='import',
            name='start',
            field=models.IntegerField(default=0, help_text='Length of the byte order mark'),
        ),
        migrations.AlterField(
            model_name='import',
            name='undo_moments',
            field=models.JSONField(default=list, help_text="Times of the undo's own changes"),
        ),
    ]
