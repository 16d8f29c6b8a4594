"""The Django admin's view of campaigns: a look at the rows. Pages and API are the way to change them."""

from django.contrib import admin
from django.core.paginator import Paginator
from django.utils.functional import cached_property

from campaigns.models import Attempt, Campaign, Gateway, Message, Run
from directory.admin import ReadOnly

_ROWS_SHOWN = 5000


@admin.register(Campaign)
class CampaignAdmin(ReadOnly):
    """Campaigns, deleted ones too."""

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


class FirstRows(Paginator[Message]):
    """Pages over the first rows of a table that is too large to be counted."""

    @cached_property
    def count(self) -> int:
        """As if the table ended there."""
        return min(_ROWS_SHOWN, Message.objects.order_by("-pk").values_list("pk", flat=True)[:_ROWS_SHOWN].count())


class AttemptInline(admin.TabularInline[Attempt, Message]):
    """What went wrong with a message."""

    model = Attempt
    extra = 0
    can_delete = False


@admin.register(Message)
class MessageAdmin(ReadOnly):
    """Messages, found by their id, the gateway's `msgId`, or by phone. Nothing here counts them."""

    list_display = ("id", "status", "reason", "attempts", "due_at", "changed_at")
    search_fields = ("=id", "=phone")
    inlines = (AttemptInline,)
    ordering = ("-pk",)
    paginator = FirstRows
    raw_id_fields = ("run", "contact")
    show_full_result_count = False


@admin.register(Gateway)
class GatewayAdmin(ReadOnly):
    """The state that all workers share."""

    list_display = ("name", "failures", "opened_at", "open_until", "alert", "held_until")
