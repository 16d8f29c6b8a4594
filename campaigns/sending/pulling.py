"""Ask providers for receipts where they do not send any (`[pull]` in docs/providers.md).

The sweep does it twice a minute. A message is asked for half a minute after it was accepted, then less and less often,
for three days.
"""

import time
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import structlog

from campaigns.gateways import registry
from campaigns.gateways.protocol import Answer, Driver, InvalidReceipt
from campaigns.messages.receipts import receipts_store
from campaigns.models import ProviderId
from campaigns.sending.transport import transport_for
from campaigns.states import MessageStatus
from project.core.clock import now
from project.core.sealed_secrets import Locked

log = structlog.get_logger("vestnik.sending")

FIRST_WAIT: Final = timedelta(seconds=30)
_SECONDS, _TIMEOUT = 5.0, 5.0
_CONCURRENCY, _AT_ONCE = 20, 1000
_SHORTEST_WAIT, _MAX_AGE = timedelta(minutes=1), timedelta(days=3)


class _Asked(NamedTuple):
    """An id whose receipt is due."""

    pk: int
    provider_id: str
    status: str
    sent_at: datetime


def pull_receipts() -> None:
    """Ask each gateway that has to be asked, for a few seconds, and store what it answers."""
    for name in registry.active_names():
        if not registry.pulls(name):
            continue
        try:
            _pull(registry.driver(name))
        except Locked:
            log.warning("receipts not pulled: the secret is locked", gateway=name)
        except Exception:  # one gateway must not stop the sweep
            log.exception("receipts not pulled", gateway=name)


def _pull(driver: Driver) -> None:
    """Ask one gateway for what is due, many requests at a time. What there is no time for is asked the next time."""
    waiting, deadline = _batches(_claim(driver.name), driver.pull_batch), time.monotonic() + _SECONDS
    if not waiting:
        return
    transport = transport_for(driver, driver.pull(waiting[0]))
    while waiting or transport.in_flight:
        while waiting and transport.in_flight < _CONCURRENCY:
            ids = waiting.pop(0)
            transport.submit(ids, driver.pull(ids), _TIMEOUT)
        for ids, answer in transport.poll(0.1):
            _store(driver, ids, answer)
        if time.monotonic() > deadline and waiting:
            left = {provider_id for ids in waiting for provider_id in ids}
            ProviderId.objects.filter(gateway=driver.name, provider_id__in=left).update(pull_at=now())
            waiting.clear()
    transport.close()


def _claim(gateway: str) -> list[str]:
    """The ids to ask for now. They are due again later, whatever becomes of these requests."""
    moment = now()
    due = ProviderId.objects.filter(gateway=gateway, pull_at__lte=moment).order_by("pull_at")
    rows = [
        _Asked._make(row)
        for row in due.values_list("pk", "provider_id", "message__status", "message__changed_at")[:_AT_ONCE]
    ]
    open_rows = [row for row in rows if row.status == MessageStatus.SENT and moment - row.sent_at < _MAX_AGE]
    ProviderId.objects.filter(pk__in={row.pk for row in rows} - {row.pk for row in open_rows}).update(pull_at=None)
    ProviderId.objects.bulk_update(
        [ProviderId(pk=row.pk, pull_at=moment + max(_SHORTEST_WAIT, moment - row.sent_at)) for row in open_rows],
        ["pull_at"],
    )
    return [row.provider_id for row in open_rows]


def _batches(ids: list[str], size: int) -> list[list[str]]:
    return [ids[start : start + size] for start in range(0, len(ids), size)]


def _store(driver: Driver, ids: list[str], answer: Answer) -> None:
    if answer.failure is not None or not 200 <= answer.status < 300:
        log.warning("receipts not pulled", gateway=driver.name, status=answer.status, failure=answer.failure)
        return
    try:
        receipts_store(driver.name, driver.pulled(ids, answer.body))
    except InvalidReceipt as error:
        log.warning("receipts not pulled", gateway=driver.name, error=str(error))
