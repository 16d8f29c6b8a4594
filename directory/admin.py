"""The directory in the Django admin, read-only. Changes go through pages and API."""

from django.contrib import admin
from django.http import HttpRequest

from directory.models import Contact, Tag


class ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]  # serves any model
    """Changes go through the services, which keep tags, phones and `updated_at` consistent."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Adding is not possible here."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Editing is not possible here."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Contacts are deactivated, never deleted."""
        return False


@admin.register(Contact)
class ContactAdmin(ReadOnly):
    """Contacts."""

    list_display = ("phone", "first_name", "last_name", "timezone", "is_active", "opted_out", "owner", "updated_at")
    list_filter = ("is_active", "opted_out", "tags")
    list_select_related = ("owner",)
    search_fields = ("phone", "first_name", "last_name")
    show_full_result_count = False


@admin.register(Tag)
class TagAdmin(ReadOnly):
    """Tags."""

    search_fields = ("name",)
