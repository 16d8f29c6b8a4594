"""Every state of a campaign and of a message, and the one table of allowed transitions."""

from typing import Final

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class Repeat(TextChoices):
    """How often a campaign runs, until its end."""

    ONCE = "once", _("Once")
    DAILY = "daily", _("Every day")
    WEEKLY = "weekly", _("Every week")
    MONTHLY = "monthly", _("Every month")


class CampaignStatus(TextChoices):
    """What a campaign as a whole is doing."""

    DRAFT = "draft", _("Draft")
    SCHEDULED = "scheduled", _("Scheduled")
    RUNNING = "running", _("Running")
    PAUSED = "paused", _("Paused")
    FINISHED = "finished", _("Finished")
    CANCELLED = "cancelled", pgettext_lazy("campaign", "Cancelled")


class MessageStatus(TextChoices):
    """Where one message stands.

    `pending` waits for its time or its next attempt; `sending` is leased by a worker; `sent` was accepted by the
    gateway; `delivered` and `undelivered` come from its receipt; `failed` was refused for good or used up its attempts;
    `expired` met the campaign's end; `unknown` may or may not have been accepted, and nobody can tell.
    """

    PENDING = "pending", _("Waiting")
    SENDING = "sending", _("Sending")
    SENT = "sent", _("Sent")
    DELIVERED = "delivered", _("Delivered")
    UNDELIVERED = "undelivered", _("Undelivered")
    FAILED = "failed", _("Failed")
    EXPIRED = "expired", _("Expired")
    CANCELLED = "cancelled", _("Cancelled")
    UNKNOWN = "unknown", _("Unknown")


_C, _M = CampaignStatus, MessageStatus
# Why a message stands where it does, if neither the gateway nor the way to it has said so.
QUARANTINED: Final = "quarantined"
RESENT: Final = "resent"
MARKED: Final = "marked"


class Remedy(TextChoices):
    """What a person makes of messages that are unknown.

    `retry` gives those that were stopped their attempts anew, with the same ids; `resend` sends new messages instead,
    which the person may get twice; `sent` and `failed` are what they are then taken for.
    """

    RETRY = "retry"
    RESEND = "resend"
    SENT = "sent"
    FAILED = "failed"


CAMPAIGN_TRANSITIONS: Final[dict[CampaignStatus, frozenset[CampaignStatus]]] = {
    _C.DRAFT: frozenset({_C.SCHEDULED, _C.CANCELLED}),
    _C.SCHEDULED: frozenset({_C.DRAFT, _C.RUNNING, _C.FINISHED, _C.CANCELLED}),
    _C.RUNNING: frozenset({_C.PAUSED, _C.FINISHED, _C.CANCELLED}),
    _C.PAUSED: frozenset({_C.RUNNING, _C.FINISHED, _C.CANCELLED}),
    _C.FINISHED: frozenset({_C.RUNNING}),
    _C.CANCELLED: frozenset(),
}
MESSAGE_TRANSITIONS: Final[dict[MessageStatus, frozenset[MessageStatus]]] = {
    _M.PENDING: frozenset({_M.SENDING, _M.EXPIRED, _M.CANCELLED, _M.UNKNOWN}),
    _M.SENDING: frozenset({_M.PENDING, _M.SENT, _M.FAILED, _M.UNKNOWN}),
    _M.SENT: frozenset({_M.DELIVERED, _M.UNDELIVERED}),
    _M.DELIVERED: frozenset(),
    _M.UNDELIVERED: frozenset(),
    _M.FAILED: frozenset({_M.PENDING}),
    _M.EXPIRED: frozenset(),
    _M.CANCELLED: frozenset(),
    _M.UNKNOWN: frozenset({_M.PENDING, _M.SENT, _M.DELIVERED, _M.UNDELIVERED, _M.FAILED}),
}
# A campaign in one of these still has, or may get, messages to send; its twin is refused while it stands.
UNFINISHED: Final = (_C.SCHEDULED, _C.RUNNING, _C.PAUSED)
OPEN: Final = (_M.PENDING, _M.SENDING)
# What a message passes through when all goes well.
SMOOTH: Final = (_M.SENDING, _M.SENT, _M.DELIVERED)
# Few of a run's messages end like this, and these are what people look for.
RARE: Final = (_M.UNDELIVERED, _M.FAILED, _M.EXPIRED, _M.CANCELLED, _M.UNKNOWN)


def campaign_may(status: str, target: CampaignStatus) -> bool:
    """Whether the table allows a campaign to go from `status` to `target`."""
    return target in CAMPAIGN_TRANSITIONS[CampaignStatus(status)]
