"""The end of pending messages that are not sent any more: a status is set without another attempt."""

from collections.abc import Iterable

from campaigns.counters import count, count_minute, moved
from campaigns.models import Attempt, Message, Run
from campaigns.states import MessageStatus
from campaigns.webhook_events import log_messages, messages_changed
from project.core.clock import now


def settle(run: Run, ids: Iterable[int], status: MessageStatus, reason: str | None = None) -> None:
    """Set a final status for locked pending messages of a run: `unknown` if the gateway may have accepted them.

    Without `reason` they keep the one of their last attempt.
    """
    every_id = set(ids)
    uncertain = Attempt.objects.filter(message__in=every_id, uncertain=True)
    uncertain_ids = set(uncertain.values_list("message_id", flat=True)) if every_id else set()
    _set_status(run, sorted(uncertain_ids), MessageStatus.UNKNOWN, reason)
    _set_status(run, sorted(every_id - uncertain_ids), status, reason)


def _set_status(run: Run, ids: list[int], status: MessageStatus, reason: str | None) -> None:
    if not ids:
        return
    moment, values = now(), {} if reason is None else {"reason": reason}
    number = Message.objects.filter(pk__in=ids).update(status=status, changed_at=moment, **values)
    count(run.pk, moved(MessageStatus.PENDING, status, number))
    if status == MessageStatus.FAILED:
        count_minute(run.pk, moment, failed=number)
    messages_changed([run.pk], ids)
    log_messages(ids)
