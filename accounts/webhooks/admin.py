"""Webhooks in the Django admin: view and delete, without their secrets."""

from django.contrib import admin
from django.http import HttpRequest

from accounts.webhooks.models import Webhook


@admin.register(Webhook)
class WebhookAdmin(admin.ModelAdmin[Webhook]):
    """Users' webhooks."""

    list_display = ("url", "owner", "failures", "disabled_at", "created_at")
    search_fields = ("url", "owner__email")
    list_select_related = ("owner",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Webhooks can't be added here: only the owner may see the secret."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Webhook | None = None) -> bool:
        """Webhooks can't be edited here: the address would not be checked."""
        return False
