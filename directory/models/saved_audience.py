"""Saved audiences."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from directory.audiences.audience import Audience
from project.core.fields import ClockField


class SavedAudience(models.Model):
    """An audience with a name, to choose for campaigns."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    audience = models.JSONField(_("audience"), default=dict)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name=_("saved by")
    )
    created_at = ClockField(_("added"), auto_now_add=True)
    updated_at = ClockField(_("changed"), auto_now=True)

    VERSIONED: ClassVar = ("name", "audience")

    NOT_YOURS: ClassVar = _("Only the user who saved this audience and administrators can change it.")

    class Meta:
        verbose_name = _("saved audience")
        verbose_name_plural = _("saved audiences")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def audience_filter(self) -> Audience:
        """The audience as a value."""
        return Audience.from_json(self.audience)
