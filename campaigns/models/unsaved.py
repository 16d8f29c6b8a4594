"""Unsaved input of the composer."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from campaigns.models.campaign import Campaign
from project.core.fields import ClockField


class Unsaved(models.Model):
    """The composer's fields as the form sends them: one row per user and campaign, and one for a new campaign."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="+", null=True)
    fields = models.TextField(help_text="URL-encoded")
    saved_at = ClockField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "campaign"], name="unsaved_once"),
            models.UniqueConstraint(fields=["user"], condition=Q(campaign=None), name="unsaved_new_once"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} · {self.campaign_id}"
