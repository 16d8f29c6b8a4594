"""JSON schemas of messages."""

from datetime import datetime
from typing import Annotated, Final, Literal

from ninja import Field, Schema
from pydantic import Strict

from campaigns.api.schemas import GatewayName, MessageText, SenderName
from campaigns.models import Campaign, Message
from campaigns.states import MessageStatus
from directory.schemas import Phone
from project.http.body import AmountOut, Body
from project.http.paging import ListQuery


class MessageIn(Body):
    """One message to a single phone."""

    phone: Phone
    text: MessageText = Field(
        description="Placeholders are allowed, as in campaigns",
        examples=["Your code is 4711.", "{first_name}, welcome!"],
    )
    contact: Annotated[int, Strict(), Field(ge=1, le=2**63 - 1)] | None = Field(
        None, description="Id of the contact whose name and attributes fill the placeholders"
    )
    gateway: GatewayName | None = Field(None, description="Name of the gateway; null: the settings' gateway")
    sender: SenderName | None = Field(
        None, description="A sender name that the gateway allows in the phone's country; null: the gateway's default"
    )


class MarkIn(Body):
    """The status to set for an unknown message."""

    status: Literal["sent", "failed"]


class AttemptOut(Schema):
    """A failed attempt."""

    at: datetime
    reason: str = Field(examples=["http_503", "timeout"])
    http_status: int | None
    answer: str
    duration_ms: int
    uncertain: bool = Field(description="The gateway may have accepted the message nevertheless")


class MessageState(Schema):
    """A message and its current status."""

    id: int
    status: MessageStatus


class MessageSummary(MessageState):
    """One message of a run; `id` is the gateway's message id.

    A transactional message has no campaign and no contact.
    """

    campaign: int | None
    run: int | None
    contact: int | None = Field(alias="contact_id")
    resend_of: int | None = Field(alias="resend_of_id", description="The unknown message that it replaces")
    phone: str
    reason: str
    attempts: int
    parts: int
    due_at: datetime
    changed_at: datetime

    @staticmethod
    def resolve_campaign(message: Message) -> int | None:
        """Null for a transactional message."""
        return message.planned_run.campaign_id if message.planned_run else None

    @staticmethod
    def resolve_run(message: Message) -> int | None:
        """Null for a transactional message."""
        return message.planned_run.pk if message.planned_run else None

    @staticmethod
    def resolve_phone(message: Message) -> str:
        """The frozen phone, or else the contact's current one."""
        return str(message.recipient)


# The columns that a summary needs.
_PLAIN: Final = ("id", "status", "contact_id", "resend_of_id", "reason", "attempts", "parts", "due_at", "changed_at")
MESSAGE_COLUMNS: Final = (*_PLAIN, "run_id", "phone", "contact__phone")


def summary_of(message: Message, campaign: Campaign) -> MessageSummary:
    """Build a list item without validation, which would take longer than everything else."""
    values = {name: getattr(message, name) for name in _PLAIN}
    values["status"] = MessageStatus(message.status)
    return MessageSummary.model_construct(
        campaign=campaign.pk, run=message.run_id, phone=str(message.recipient), **values
    )


class MessageOut(MessageSummary):
    """A message with its text, as sent, and its failed attempts."""

    text: str
    gateway: str | None = Field(
        alias="gateway_id", description="The gateway that has it or had it last; null: none yet"
    )
    provider_ids: list[str] = Field(
        alias="provider_id_list", description="The provider's own ids: one, or one for each part; none is known: empty"
    )
    sender: str | None = Field(description="The sender name that it has; null: none, or not decided yet")
    cost: AmountOut | None = Field(alias="charged", description="Null: not accepted, or no price is known")
    failures: list[AttemptOut]


class MessageQuery(ListQuery):
    """Filters of the list."""

    status: MessageStatus | None = None
