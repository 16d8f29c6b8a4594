"""The Django admin's view of webhooks: to be looked at and deleted, without their secrets."""

from django.contrib import admin
from django.http import HttpRequest

from accounts.webhooks.models import Webhook


@admin.register(Webhook)
class WebhookAdmin(admin.ModelAdmin[Webhook]):
    """Where users have events posted to."""

    list_display = ("url", "owner", "failures", "disabled_at", "created_at")
    search_fields = ("url", "owner__email")
    list_select_related = ("owner",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """The secret is for the owner's eyes."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Webhook | None = None) -> bool:
        """An address that nobody has checked is told nothing."""
        return False
