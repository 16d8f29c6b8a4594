"""Delivering: signed by the Standard Webhooks scheme, many events at once, again and again for a day.

One courier at a time works for each cluster. It serves several webhooks at once, so that one that is slow delays no
other, and each by one request at a time. After a failure the webhook rests, exponentially longer; meanwhile its events
gather. What was attempted keeps its id and its body, so that the receiver can tell repeats.
"""

import base64
import hashlib
import hmac
import json
import random
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from typing import Final

import structlog
from django.conf import settings
from django.core.mail import send_mail
from django.db import connection, transaction
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.utils.translation import override

from accounts.webhooks.models import LEASE, MAX_EVENTS, Delivery, DeliveryStatus, Webhook
from accounts.webhooks.targets import TOTAL_SECONDS, Answer, post
from accounts.webhooks.wording import reason_words
from project.clock import now
from project.queue import OUT_OF_REACH

log = structlog.get_logger("vestnik.webhooks")

SLICE_SECONDS: Final = 20.0
AT_ONCE: Final = 8
PATIENCE: Final = timedelta(hours=24)
_FIRST_REST, _LONGEST_REST = 5.0, 3 * 3600.0
_GATHERED: Final = 100


def work(stopping: Callable[[], bool], seconds: float = SLICE_SECONDS) -> None:
    """Deliver what is due, for at most so many seconds and the time that the last requests take."""
    deadline = time.monotonic() + seconds
    pool = ThreadPoolExecutor(AT_ONCE, "courier")
    running: dict[Future[None], int] = {}
    while not stopping() and time.monotonic() < deadline:
        free = AT_ONCE - len(running)
        due = Webhook.objects.due().exclude(pk__in=running.values()).order_by("held_until")[:free] if free else []
        running.update({pool.submit(_serve, webhook, deadline): webhook.pk for webhook in due if webhook.claim()})
        if not running:
            break
        running = _still(running, 0.5)
    limit = time.monotonic() + TOTAL_SECONDS + 1
    while running and time.monotonic() < limit:
        running = _still(running, 1)
    pool.shutdown(wait=False)


def _still(running: dict[Future[None], int], seconds: float) -> dict[Future[None], int]:
    """Wait a moment, and return those that have not ended; one in trouble rests and stops no other."""
    ended, others = wait(running, timeout=seconds, return_when=FIRST_COMPLETED)
    for future in ended:
        error = future.exception()
        if isinstance(error, OUT_OF_REACH):
            raise error
        if error is not None:
            log.error("webhook in trouble", webhook=running[future], exc_info=error)
            Webhook.objects.filter(pk=running[future]).update(held_until=now() + LEASE)
    return {future: running[future] for future in others}


def _serve(webhook: Webhook, deadline: float) -> None:
    """Deliver to one webhook, one request after the other, until one fails or nothing is due."""
    try:
        while time.monotonic() < deadline:
            delivery = _next(webhook)
            if delivery is None or not _attempt(webhook, delivery):
                break
    finally:
        webhook.release()
        connection.close()


def _next(webhook: Webhook) -> Delivery | None:
    """The delivery that has been due the longest; if it is new, with the events of others that are new as well."""
    with transaction.atomic():
        first = webhook.deliveries.due().first()
        if first is not None and first.attempted_at is None:
            _gather(first)
    return first


def _gather(first: Delivery) -> None:
    others, number = [], first.number
    for pk, more in first.webhook.deliveries.untried().exclude(pk=first.pk).values_list("pk", "number")[:_GATHERED]:
        if number + more > MAX_EVENTS:
            break
        others.append(pk)
        number += more
    if others:
        rows = Delivery.objects.filter(pk__in=others)
        first.events += [event for events in rows.order_by("pk").values_list("events", flat=True) for event in events]
        first.number = number
        first.save(update_fields=["events", "number"])
        rows.delete()


def _attempt(webhook: Webhook, delivery: Delivery) -> bool:
    """Post once, and write down what came of it; return whether it was taken."""
    moment = now()
    body = body_of(delivery)
    answer = post(webhook.url, body, headers_of(webhook.secret, delivery.uid, body, moment))
    log.info(
        "webhook", webhook=webhook.pk, delivery=delivery.uid, events=delivery.number, status=answer.status,
        reason=answer.reason, ms=answer.duration_ms,
    )  # fmt: skip
    webhook.refresh_from_db(fields=["failures"])
    gone = answer.status == 410
    over = moment - delivery.since >= PATIENCE
    rest = _rest(webhook.failures)
    with transaction.atomic():
        _record(delivery, answer, moment, over=over or gone)
        Webhook.objects.filter(pk=webhook.pk).update(
            failures=0 if answer.good else webhook.failures + 1, held_until=moment if answer.good else moment + rest
        )
    if gone or (over and not answer.good and not _alive(webhook, delivery)):
        _disable(webhook, answer)
    return answer.good


def body_of(delivery: Delivery) -> bytes:
    """The same bytes each time."""
    body = {"type": "batch", "timestamp": delivery.created_at.isoformat(), "data": delivery.events}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def headers_of(secret: str, uid: str, body: bytes, moment: datetime) -> dict[str, str]:
    """The Standard Webhooks scheme: id, seconds since the epoch, and HMAC-SHA256 over both and the body."""
    stamp = str(int(moment.timestamp()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, b".".join([uid.encode(), stamp.encode(), body]), hashlib.sha256).digest()
    return {
        "Content-Type": "application/json",
        "User-Agent": "Vestnik-Webhooks/1",
        "webhook-id": uid,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def _rest(failures: int) -> timedelta:
    """The wait after one more failure: 5 s, 15, 45 … 3 h, and up to a fifth more, so that not all come back at once."""
    seconds = min(_FIRST_REST * 3.0 ** min(failures, 20), _LONGEST_REST)
    return timedelta(seconds=seconds * random.uniform(1, 1.2))  # noqa: S311


def _record(delivery: Delivery, answer: Answer, moment: datetime, *, over: bool) -> None:
    status = DeliveryStatus.DELIVERED if answer.good else DeliveryStatus.FAILED if over else DeliveryStatus.PENDING
    Delivery.objects.filter(pk=delivery.pk).update(
        status=status,
        attempts=delivery.attempts + 1,
        attempted_at=moment,
        next_at=moment + _rest(delivery.attempts),
        http_status=answer.status,
        reason=answer.reason,
        answer=answer.text,
        duration_ms=answer.duration_ms,
    )


def _alive(webhook: Webhook, delivery: Delivery) -> bool:
    """Whether the webhook has taken anything since this delivery began."""
    return webhook.deliveries.filter(status=DeliveryStatus.DELIVERED, attempted_at__gte=delivery.since).exists()


def _disable(webhook: Webhook, answer: Answer) -> None:
    """Tell it nothing more, and tell its owner."""
    with transaction.atomic():
        if not Webhook.objects.active().filter(pk=webhook.pk).update(disabled_at=now()):
            return
        webhook.deliveries.waiting().update(status=DeliveryStatus.FAILED)
    log.warning("webhook disabled", webhook=webhook.pk, reason=answer.reason)
    with override(webhook.owner.language):
        context = {"webhook": webhook, "why": reason_words(answer.reason), "public_url": settings.PUBLIC_URL}
        letter = render_to_string("webhooks/email/disabled_message.txt", context)
        send_mail(_("Vestnik: a webhook is disabled"), letter, None, [webhook.owner.email])
