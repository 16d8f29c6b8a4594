"""All states of campaigns and messages, and the tables of allowed transitions."""

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
    """The state of a campaign."""

    DRAFT = "draft", _("Draft")
    SCHEDULED = "scheduled", _("Scheduled")
    RUNNING = "running", _("Running")
    PAUSED = "paused", _("Paused")
    FINISHED = "finished", _("Finished")
    CANCELLED = "cancelled", pgettext_lazy("campaign", "Cancelled")


class MessageStatus(TextChoices):
    """The state of a message.

    `pending` waits for its due time or its next attempt; `sending` is leased by a worker; `sent` was accepted by the
    gateway; `delivered` and `undelivered` come from its receipt; `failed` was refused for good or used up its attempts;
    `expired` was not sent before the campaign's end; `unknown` may or may not have been accepted.
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
# Reasons that come neither from the gateway nor from the connection to it.
QUARANTINED: Final = "quarantined"
RESENT: Final = "resent"
MARKED: Final = "marked"
NOT_RECIPIENT: Final = "not_recipient"


class Resolution(TextChoices):
    """What a user decides about unknown messages.

    `retry` sends messages again with the same ids, where the gateway recognises them. `resend` sends new messages
    instead; a contact may then get the message twice. `sent` and `failed` set this status.
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
    _M.PENDING: frozenset({_M.SENDING, _M.FAILED, _M.EXPIRED, _M.CANCELLED, _M.UNKNOWN}),
    _M.SENDING: frozenset({_M.PENDING, _M.SENT, _M.FAILED, _M.UNKNOWN}),
    _M.SENT: frozenset({_M.DELIVERED, _M.UNDELIVERED}),
    _M.DELIVERED: frozenset({_M.UNDELIVERED}),
    _M.UNDELIVERED: frozenset(),
    _M.FAILED: frozenset({_M.PENDING}),
    _M.EXPIRED: frozenset(),
    _M.CANCELLED: frozenset({_M.PENDING}),
    _M.UNKNOWN: frozenset({_M.PENDING, _M.SENT, _M.DELIVERED, _M.UNDELIVERED, _M.FAILED}),
}
# A campaign in one of these states may still send messages. A duplicate of it is refused.
UNFINISHED: Final = (_C.SCHEDULED, _C.RUNNING, _C.PAUSED)
OPEN: Final = (_M.PENDING, _M.SENDING)
ENDED: Final = tuple(status for status in _M if status not in OPEN)
ACCEPTED: Final = (_M.SENT, _M.DELIVERED, _M.UNDELIVERED)
# The gateway has accepted these or may have accepted them, so it may charge for them.
CHARGED: Final = (*ACCEPTED, _M.UNKNOWN)
# Users look for the reasons of these.
UNSUCCESSFUL: Final = (_M.FAILED, _M.UNDELIVERED, _M.UNKNOWN)
# The states of a message without problems.
SUCCESS_PATH: Final = (_M.SENDING, _M.SENT, _M.DELIVERED)
# Few messages of a run end in these states, and users look for these.
RARE: Final = (_M.UNDELIVERED, _M.FAILED, _M.EXPIRED, _M.CANCELLED, _M.UNKNOWN)

# The colour of each state on pages, see the style guide; the others are neutral.
TONES: Final[dict[str, str]] = {
    _C.RUNNING: "sent",
    _C.PAUSED: "warn",
    _C.FINISHED: "good",
    _M.SENDING: "sent",
    _M.SENT: "sent",
    _M.DELIVERED: "good",
    _M.UNDELIVERED: "bad",
    _M.FAILED: "bad",
    _M.UNKNOWN: "warn",
}


class IllegalTransition(RuntimeError):
    """A change of state that the tables do not allow: a bug in the program."""


def campaign_may(status: str, target: CampaignStatus) -> bool:
    """Whether the table allows a campaign to go from `status` to `target`."""
    return target in CAMPAIGN_TRANSITIONS[CampaignStatus(status)]


def check_campaign_transition(source: str, target: CampaignStatus) -> None:
    """IllegalTransition unless `campaign_may`."""
    if not campaign_may(source, target):
        raise IllegalTransition(f"campaign: {source} → {target}")


def check_message_transition(source: str, target: str) -> None:
    """IllegalTransition unless the table allows a message to go from `source` to `target`."""
    if MessageStatus(target) not in MESSAGE_TRANSITIONS[MessageStatus(source)]:
        raise IllegalTransition(f"message: {source} → {target}")
