"""Import, its stored file in chunks, its undo data, and its rejected rows."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from project.core.fields import ClockField

CHUNK_BYTES = 1024 * 1024


class ImportStatus(models.TextChoices):
    """The states of an import.

    reading → draft → running → finished → undoing → undone; running → stopped → undoing;
    reading, running or undoing → failed
    """

    READING = "reading", _("Reading")
    DRAFT = "draft", _("Not started")
    RUNNING = "running", pgettext_lazy("import", "Running")
    FINISHED = "finished", pgettext_lazy("import", "Finished")
    STOPPED = "stopped", _("Stopped")
    FAILED = "failed", _("Failed")
    UNDOING = "undoing", _("Undoing")
    UNDONE = "undone", _("Undone")


AT_WORK = frozenset({ImportStatus.READING, ImportStatus.RUNNING, ImportStatus.UNDOING})


class Import(models.Model):
    """A file of contacts and its progress. `position` is the byte after the last processed row."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="imports")
    name = models.CharField(_("file"), max_length=255)
    status = models.CharField(max_length=8, choices=ImportStatus.choices, default=ImportStatus.DRAFT, db_index=True)
    error = models.CharField(max_length=500, blank=True)
    failures = models.SmallIntegerField(default=0, db_default=0, help_text="Consecutive attempts without progress")
    created_at = ClockField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    size = models.BigIntegerField(default=0)
    workbook = models.BooleanField(default=False)
    encoding = models.CharField(max_length=20, default="utf-8")
    start = models.IntegerField(default=0, help_text="Length of the byte order mark")
    delimiter = models.CharField(max_length=1, default=",")
    header = models.JSONField(default=list, help_text="Names of the columns")
    has_header = models.BooleanField(default=True, db_column="headed", help_text="Whether the first row is the header")

    mapping = models.JSONField(default=list, help_text="The field of each column, or empty")
    policy = models.CharField(max_length=8, default="update")
    tags = models.JSONField(default=list, help_text="Added to every contact of the file")

    rows = models.IntegerField(null=True, help_text="Number of rows, known after the check")
    position = models.BigIntegerField(default=0)
    row = models.IntegerField(default=0, help_text="The last processed row, as in spreadsheets")
    created = models.IntegerField(default=0)
    updated = models.IntegerField(default=0)
    unchanged = models.IntegerField(default=0)
    skipped = models.IntegerField(default=0)
    duplicate = models.IntegerField(default=0, db_column="folded")
    not_owned = models.IntegerField(default=0, db_column="left_alone")
    rejected = models.IntegerField(default=0)

    removed = models.IntegerField(default=0)
    restored = models.IntegerField(default=0)
    deactivated = models.IntegerField(default=0)
    kept = models.IntegerField(default=0)
    kept_contacts = models.JSONField(default=list, help_text="The first contacts that could not be undone")
    undo_moments = models.JSONField(default=list, help_text="Times of the undo's own changes")

    NOT_YOURS: ClassVar = _("Only the user who started this import and administrators can view it.")

    class Meta:
        verbose_name = _("import")
        verbose_name_plural = _("imports")

    def __str__(self) -> str:
        return self.name

    @property
    def done(self) -> int:
        """The number of processed rows."""
        return self.created + self.updated + self.unchanged + self.not_imported + self.skipped + self.duplicate

    @property
    def undoable(self) -> bool:
        """Whether there are changes to undo."""
        return self.batches.exists()

    @property
    def not_imported(self) -> int:
        """The number of rows that are listed with a reason."""
        return self.not_owned + self.rejected


class Chunk(models.Model):
    """A MiB of the file. It is stored in the database, because workers may run on another host."""

    import_job = models.ForeignKey(Import, on_delete=models.CASCADE, related_name="chunks", db_column="of_id")
    number = models.IntegerField()
    content = models.BinaryField()

    class Meta:
        db_table = "directory_piece"
        constraints = [models.UniqueConstraint(fields=["import_job", "number"], name="piece_of_import")]

    def __str__(self) -> str:
        return f"{self.import_job_id}/{self.number}"


class Batch(models.Model):
    """Undo data of one batch: ids of created contacts, and `[id, before, tagged]` of changed ones."""

    import_job = models.ForeignKey(Import, on_delete=models.CASCADE, related_name="batches", db_column="of_id")
    moment = models.DateTimeField(help_text="`updated_at` of the written contacts")
    created = models.JSONField(default=list)
    changed: models.JSONField[Any, Any] = models.JSONField(default=list)

    def __str__(self) -> str:
        return f"{self.import_job_id}/{self.pk}"


class RejectedRow(models.Model):
    """A row that was not written, as in the file, and the reason."""

    import_job = models.ForeignKey(Import, on_delete=models.CASCADE, related_name="rejected_rows", db_column="of_id")
    row = models.IntegerField()
    cells = models.JSONField()
    reason = models.CharField(max_length=500)

    class Meta:
        db_table = "directory_setaside"
        constraints = [models.UniqueConstraint(fields=["import_job", "row"], name="row_of_import")]

    def __str__(self) -> str:
        return f"{self.import_job_id}/{self.row}"
