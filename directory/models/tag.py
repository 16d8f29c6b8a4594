"""Tags, and their contacts."""

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from directory.tags.names import MAX_TAG_LENGTH, validate_tag_name


class Tone(models.TextChoices):
    """The colours of tags, by their names in the design's palette."""

    PLAIN = "", _("No colour")
    ACCENT = "accent", _("Violet")
    SENT = "sent", _("Blue")
    GOOD = "good", _("Green")
    WARN = "warn", _("Amber")
    BAD = "bad", _("Red")


class Tag(models.Model):
    """A word that groups contacts, stored in lower case so that VIP and vip are the same."""

    name = models.CharField(_("name"), max_length=MAX_TAG_LENGTH, unique=True, validators=[validate_tag_name])
    tone = models.CharField(_("colour"), max_length=6, choices=Tone.choices, default=Tone.PLAIN, blank=True)

    VERSIONED: ClassVar = ("name", "tone")

    class Meta:
        verbose_name = _("tag")
        verbose_name_plural = _("tags")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Tagging(models.Model):
    """A tag of a contact. One index finds the tags of a contact, the other a tag's contacts in order."""

    contact = models.ForeignKey("directory.Contact", on_delete=models.CASCADE, related_name="taggings", db_index=False)
    tag = models.ForeignKey(Tag, on_delete=models.CASCADE, related_name="taggings", db_index=False)

    class Meta:
        db_table = "directory_contact_tags"
        constraints = [models.UniqueConstraint(fields=["contact", "tag"], name="tagging_once")]
        indexes = [models.Index(fields=["tag", "contact"], name="tagging_by_tag")]

    def __str__(self) -> str:
        return f"{self.contact_id} · {self.tag_id}"
