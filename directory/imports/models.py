"""Import, and what belongs to it: the file in pieces, what was written, and the rows that were not."""

from typing import Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

PIECE = 1024 * 1024  # bytes


class ImportStatus(models.TextChoices):
    """Where an import stands.

    reading → draft → running → finished → undoing → undone; reading or running → failed; running → stopped → undoing
    """

    READING = "reading", _("Reading")
    DRAFT = "draft", _("Not started")
    RUNNING = "running", pgettext_lazy("import", "Running")
    FINISHED = "finished", pgettext_lazy("import", "Finished")
    STOPPED = "stopped", _("Stopped")
    FAILED = "failed", _("Failed")
    UNDOING = "undoing", _("Being undone")
    UNDONE = "undone", _("Undone")


AT_WORK = frozenset({ImportStatus.READING, ImportStatus.RUNNING, ImportStatus.UNDOING})


class Import(models.Model):
    """A file of contacts and how far it is written. `position` is the byte behind the last row that is done."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="imports")
    name = models.CharField(_("file"), max_length=255)
    status = models.CharField(max_length=8, choices=ImportStatus.choices, default=ImportStatus.DRAFT, db_index=True)
    error = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    size = models.BigIntegerField(default=0)
    workbook = models.BooleanField(default=False)
    encoding = models.CharField(max_length=20, default="utf-8")
    start = models.IntegerField(default=0, help_text="Bytes of a mark before the text")
    delimiter = models.CharField(max_length=1, default=",")
    header = models.JSONField(default=list, help_text="Names of the columns")
    headed = models.BooleanField(default=True, help_text="Whether the first row holds them")

    mapping = models.JSONField(default=list, help_text="For each column the field that it tells, or nothing")
    policy = models.CharField(max_length=8, default="update")
    tags = models.JSONField(default=list, help_text="Added to every contact of the file")

    rows = models.IntegerField(null=True, help_text="In the file, once it has been checked")
    position = models.BigIntegerField(default=0)
    row = models.IntegerField(default=0, help_text="The last one done, as spreadsheets count")
    created = models.IntegerField(default=0)
    updated = models.IntegerField(default=0)
    unchanged = models.IntegerField(default=0)
    skipped = models.IntegerField(default=0)
    folded = models.IntegerField(default=0)
    left_alone = models.IntegerField(default=0)
    rejected = models.IntegerField(default=0)

    removed = models.IntegerField(default=0)
    restored = models.IntegerField(default=0)
    deactivated = models.IntegerField(default=0)
    kept = models.IntegerField(default=0)
    kept_contacts = models.JSONField(default=list, help_text="The first of those that could not be undone")
    undo_moments = models.JSONField(default=list, help_text="When the undo wrote, to know its own changes by")

    class Meta:
        verbose_name = _("import")
        verbose_name_plural = _("imports")

    def __str__(self) -> str:
        return self.name

    @property
    def done(self) -> int:
        """Rows that are dealt with."""
        return self.created + self.updated + self.unchanged + self.set_aside + self.skipped + self.folded

    @property
    def undoable(self) -> bool:
        """Whether it wrote anything that can still be taken back."""
        return self.batches.exists()

    @property
    def set_aside(self) -> int:
        """Rows that are listed with a reason."""
        return self.left_alone + self.rejected


class Piece(models.Model):
    """A MiB of the file. It lies in the database, for workers may be on another host than the web."""

    of = models.ForeignKey(Import, on_delete=models.CASCADE, related_name="pieces")
    number = models.IntegerField()
    content = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["of", "number"], name="piece_of_import")]

    def __str__(self) -> str:
        return f"{self.of_id}/{self.number}"


class Batch(models.Model):
    """What one batch wrote, for the undo: ids created, and `[id, before, tagged]` of what was changed."""

    of = models.ForeignKey(Import, on_delete=models.CASCADE, related_name="batches")
    moment = models.DateTimeField(help_text="`updated_at` of what it wrote")
    created = models.JSONField(default=list)
    changed: models.JSONField[Any, Any] = models.JSONField(default=list)

    def __str__(self) -> str:
        return f"{self.of_id}/{self.pk}"


class SetAside(models.Model):
    """A row that was not written, as it stood in the file, and why."""

    of = models.ForeignKey(Import, on_delete=models.CASCADE, related_name="rows_set_aside")
    row = models.IntegerField()
    cells = models.JSONField()
    reason = models.CharField(max_length=500)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["of", "row"], name="row_of_import")]

    def __str__(self) -> str:
        return f"{self.of_id}/{self.row}"
