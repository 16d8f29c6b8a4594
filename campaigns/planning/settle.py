"""The end of pending messages that are not sent any more: a status is set without another attempt."""

from collections import Counter
from collections.abc import Collection, Mapping

from campaigns.costs import charge, charges_of
from campaigns.counters import count, count_minutes, moved
from campaigns.models import Attempt, Message
from campaigns.states import MessageStatus
from campaigns.webhook_events import log_messages, messages_changed
from project.core.clock import now


def settle(ids: Mapping[int, Collection[int]], status: MessageStatus, reason: str | None = None) -> None:
    """Set a final status for locked pending messages (by run id): `unknown` if the gateway may have accepted them.

    Without `reason` they keep the one of their last attempt.
    """
    count(end(ids, status, reason))


def end(
    ids: Mapping[int, Collection[int]], status: MessageStatus, reason: str | None = None
) -> dict[int, Counter[str]]:
    """Like `settle`, but return the changes of the runs' counters: the caller counts all its changes together."""
    every_id = {pk for of_run in ids.values() for pk in of_run}
    if not every_id:
        return {}
    uncertain = Attempt.objects.filter(message__in=every_id, uncertain=True)
    doubtful = set(uncertain.values_list("message_id", flat=True))
    moment, values = now(), {} if reason is None else {"reason": reason}
    for final, chosen in ((MessageStatus.UNKNOWN, doubtful), (status, every_id - doubtful)):
        if chosen:
            Message.objects.filter(pk__in=chosen).update(status=final, changed_at=moment, **values)
    messages_changed(ids.keys(), every_id)
    log_messages(every_id)
    settled = {run_id: len(set(of_run) - doubtful) for run_id, of_run in ids.items()}
    if status == MessageStatus.FAILED:
        count_minutes({(run_id, moment): {"failed": number} for run_id, number in settled.items() if number})
    changes = {}
    for run_id, number in settled.items():
        changes[run_id] = Counter(moved(MessageStatus.PENDING, status, number))
        changes[run_id].update(moved(MessageStatus.PENDING, MessageStatus.UNKNOWN, len(ids[run_id]) - number))
    for run_id, change in charge(charges_of(Message.objects.filter(pk__in=doubtful))).items() if doubtful else ():
        changes[run_id].update(change)
    return changes
