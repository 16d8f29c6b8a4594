"""The suppression list: phones that never receive campaign messages."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from directory import phones
from project.core.fields import ClockField


class Source(models.TextChoices):
    """How a phone came onto the suppression list."""

    PERSON = "person", pgettext_lazy("source", "Manual")
    IMPORT = "import", pgettext_lazy("source", "Import")
    API = "api", pgettext_lazy("source", "API")
    REPLY = "reply", pgettext_lazy("source", "Reply")


class Suppression(models.Model):
    """A phone that never receives campaign messages, with or without a contact. `by` is the user who added it."""

    phone = models.BigIntegerField(_("phone"), primary_key=True)
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    source = models.CharField(_("source"), max_length=6, choices=Source.choices, default=Source.PERSON)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("added by")
    )
    created_at = ClockField(_("since"), auto_now_add=True)

    NOT_YOURS: ClassVar = _("Only the user who added this phone number to the list and administrators can remove it.")

    class Meta:
        verbose_name = _("opted-out phone number")
        verbose_name_plural = _("opt-out list")
        indexes = [models.Index(fields=["created_at", "phone"], name="suppression_since")]

    def __str__(self) -> str:
        return phones.pretty(self.phone)

    @property
    def owner_id(self) -> int | None:
        """The user who may remove it, besides administrators."""
        return self.by_id
