"""Read-only Django admin for campaigns. Changes are made on the pages and through the API."""

from django.contrib import admin
from django.core.paginator import Paginator
from django.utils.functional import cached_property

from campaigns.models import Attempt, Campaign, Gateway, Message, Run
from directory.admin import ReadOnly

_MAX_ROWS = 5000


@admin.register(Campaign)
class CampaignAdmin(ReadOnly):
    """Campaigns, including deleted ones."""

    list_display = ("name", "status", "owner", "starts_at", "ends_at", "repeat", "created_at", "deleted_at")
    list_filter = ("status", "repeat")
    list_select_related = ("owner",)
    search_fields = ("name",)
    show_full_result_count = False


@admin.register(Run)
class RunAdmin(ReadOnly):
    """Runs with their counters."""

    list_display = ("campaign", "occurrence", "started_at", "finished_at", "pending", "sending", "sent", "failed")
    list_select_related = ("campaign",)
    search_fields = ("=campaign__id",)
    show_full_result_count = False


class NewestRowsPaginator(Paginator[Message]):
    """Pages of the newest rows of a table that is too large to count."""

    @cached_property
    def count(self) -> int:
        """The number of rows, capped."""
        return min(_MAX_ROWS, Message.objects.order_by("-pk").values_list("pk", flat=True)[:_MAX_ROWS].count())


class AttemptInline(admin.TabularInline[Attempt, Message]):
    """The failed attempts of a message."""

    model = Attempt
    extra = 0
    can_delete = False


@admin.register(Message)
class MessageAdmin(ReadOnly):
    """Messages, found by id (the gateway's `msgId`) or phone. The table is never counted."""

    list_display = ("id", "status", "reason", "attempts", "due_at", "changed_at")
    search_fields = ("=id", "=phone")
    inlines = (AttemptInline,)
    ordering = ("-pk",)
    paginator = NewestRowsPaginator
    raw_id_fields = ("run", "contact")
    show_full_result_count = False


@admin.register(Gateway)
class GatewayAdmin(ReadOnly):
    """The gateways' state, which all workers share."""

    list_display = ("name", "failures", "opened_at", "open_until", "alert", "held_until")
