"""Actions on many contacts, done in batches."""

from typing import ClassVar

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from directory.tags.names import MAX_TAG_LENGTH
from project.core.fields import ClockField


class BulkActionType(models.TextChoices):
    """The kinds of bulk actions."""

    TAG = "tag", _("Add a tag")
    UNTAG = "untag", _("Remove a tag")
    DEACTIVATE = "deactivate", _("Deactivate")
    REACTIVATE = "reactivate", _("Reactivate")
    MERGE = "merge", _("Merge a tag")
    DELETE_TAG = "delete_tag", _("Delete a tag")


class BulkAction(models.Model):
    """An action on many contacts, done in batches by id. The row is its whole state, so any worker can continue.

    It concerns the contacts `ids`, or those that match `filters` (for `ContactQuerySet.narrow`), up to `last_id`.
    `position` is the last processed id. `tag` is added or removed; `into` is the target of a merge.
    """

    kind = models.CharField(_("action"), max_length=10, choices=BulkActionType.choices, db_column="deed")
    tag = models.CharField(_("tag"), max_length=MAX_TAG_LENGTH, blank=True)
    into = models.CharField(max_length=MAX_TAG_LENGTH, blank=True)
    ids = models.JSONField(null=True)
    filters = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name=_("started by")
    )
    total = models.PositiveIntegerField(_("contacts"))
    last_id = models.BigIntegerField()
    position = models.BigIntegerField(default=0)
    changed = models.PositiveIntegerField(_("changed"), default=0)
    unchanged = models.PositiveIntegerField(_("needed no change"), default=0)
    refused = models.PositiveIntegerField(_("not changed"), default=0)
    created_at = ClockField(_("started"), auto_now_add=True)
    finished_at = models.DateTimeField(_("finished"), null=True)

    NOT_YOURS: ClassVar = _("Another user started this action.")

    class Meta:
        verbose_name = _("bulk action")
        verbose_name_plural = _("bulk actions")
        indexes = [models.Index(fields=["owner"], condition=Q(finished_at=None), name="bulk_action_unfinished")]

    def __str__(self) -> str:
        return str(self.get_kind_display())

    @property
    def done(self) -> int:
        """The number of processed contacts."""
        return self.changed + self.unchanged + self.refused
