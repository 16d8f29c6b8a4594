"""The end of pending messages that are not sent any more: a status is set without another attempt."""

from collections.abc import Collection, Mapping

from campaigns.counters import count, count_minutes, moved
from campaigns.models import Attempt, Message
from campaigns.states import MessageStatus
from campaigns.webhook_events import log_messages, messages_changed
from project.core.clock import now


def settle(ids: Mapping[int, Collection[int]], status: MessageStatus, reason: str | None = None) -> None:
    """Set a final status for locked pending messages (by run id): `unknown` if the gateway may have accepted them.

    Without `reason` they keep the one of their last attempt.
    """
    every_id = {pk for of_run in ids.values() for pk in of_run}
    if not every_id:
        return
    uncertain = Attempt.objects.filter(message__in=every_id, uncertain=True)
    doubtful = set(uncertain.values_list("message_id", flat=True))
    moment, values = now(), {} if reason is None else {"reason": reason}
    for final, chosen in ((MessageStatus.UNKNOWN, doubtful), (status, every_id - doubtful)):
        if chosen:
            Message.objects.filter(pk__in=chosen).update(status=final, changed_at=moment, **values)
    settled = {run_id: len(set(of_run) - doubtful) for run_id, of_run in ids.items()}
    count({run_id: _moved(len(ids[run_id]) - number, status, number) for run_id, number in settled.items()})
    if status == MessageStatus.FAILED:
        count_minutes({(run_id, moment): {"failed": number} for run_id, number in settled.items() if number})
    messages_changed(ids.keys(), every_id)
    log_messages(every_id)


def _moved(doubtful: int, status: MessageStatus, number: int) -> Mapping[str, int]:
    """The changes of a run's counters."""
    unknown = moved(MessageStatus.PENDING, MessageStatus.UNKNOWN, doubtful)
    ended = moved(MessageStatus.PENDING, status, number)
    return {name: unknown.get(name, 0) + ended.get(name, 0) for name in unknown | ended}
