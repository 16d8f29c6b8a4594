"""The dispatcher: sends deliveries signed by the Standard Webhooks scheme, and repeats them for a day.

Each worker runs one dispatcher at a time. It serves several webhooks concurrently, so a slow one delays no
other, and sends one request at a time to each. After a failure the webhook waits, exponentially longer; meanwhile its
events are merged. A delivery keeps id and body after its first attempt, so the receiver can recognise repeats.
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

from accounts.metrics import MAILS, WEBHOOK_REQUESTS
from accounts.webhooks.models import LEASE, MAX_EVENTS, Delivery, DeliveryStatus, Webhook
from accounts.webhooks.targets import TOTAL_SECONDS, Answer, post
from accounts.webhooks.wording import reason_words
from project.core.clock import now
from project.queue.broker import DB_OUTAGE_ERRORS

log = structlog.get_logger("vestnik.webhooks")

WORK_SECONDS: Final = 20.0
MAX_CONCURRENT: Final = 8
GIVE_UP_AFTER: Final = timedelta(hours=24)
_FIRST_WAIT, _MAX_WAIT = 5.0, 3 * 3600.0
_MAX_MERGED: Final = 100


def work(stopping: Callable[[], bool], seconds: float = WORK_SECONDS) -> None:
    """Send due deliveries for at most that many seconds, plus the time of the last requests."""
    deadline = time.monotonic() + seconds
    pool = ThreadPoolExecutor(MAX_CONCURRENT, "dispatcher")
    running: dict[Future[None], int] = {}
    while not stopping() and time.monotonic() < deadline:
        free = MAX_CONCURRENT - len(running)
        due = Webhook.objects.due().exclude(pk__in=running.values()).order_by("held_until")[:free] if free else []
        running.update({pool.submit(_serve, webhook, deadline): webhook.pk for webhook in due if webhook.claim()})
        if not running:
            break
        running = _still_running(running, 0.5)
    limit = time.monotonic() + TOTAL_SECONDS + 1
    while running and time.monotonic() < limit:
        running = _still_running(running, 1)
    pool.shutdown(wait=False)


def _still_running(running: dict[Future[None], int], seconds: float) -> dict[Future[None], int]:
    """Wait, and return the futures that still run. An error delays its webhook and no other."""
    ended, others = wait(running, timeout=seconds, return_when=FIRST_COMPLETED)
    for future in ended:
        error = future.exception()
        if isinstance(error, DB_OUTAGE_ERRORS):
            raise error
        if error is not None:
            log.error("webhook failed", webhook=running[future], exc_info=error)
            Webhook.objects.filter(pk=running[future]).update(held_until=now() + LEASE)
    return {future: running[future] for future in others}


def _serve(webhook: Webhook, deadline: float) -> None:
    """Send to one webhook, one request after the other, until one fails or nothing is due."""
    try:
        while time.monotonic() < deadline:
            delivery = _next(webhook)
            if delivery is None or not _attempt(webhook, delivery):
                break
    finally:
        webhook.release()
        connection.close()


def _next(webhook: Webhook) -> Delivery | None:
    """Return the delivery that is due longest. If it was never attempted, merge other new deliveries into it."""
    with transaction.atomic():
        first = webhook.deliveries.due().first()
        if first is not None and first.attempted_at is None:
            _merge_new(first)
    return first


def _merge_new(first: Delivery) -> None:
    others, number = [], first.number
    for pk, event_count in (
        first.webhook.deliveries.untried().exclude(pk=first.pk).values_list("pk", "number")[:_MAX_MERGED]
    ):
        if number + event_count > MAX_EVENTS:
            break
        others.append(pk)
        number += event_count
    if others:
        rows = Delivery.objects.filter(pk__in=others)
        first.events += [event for events in rows.order_by("pk").values_list("events", flat=True) for event in events]
        first.number = number
        first.save(update_fields=["events", "number"])
        rows.delete()


def _attempt(webhook: Webhook, delivery: Delivery) -> bool:
    """Post once, record the result, and return whether the receiver accepted it."""
    moment = now()
    body = body_of(delivery)
    answer = post(webhook.url, body, headers_of(webhook.secret, delivery.uid, body, moment))
    WEBHOOK_REQUESTS.add("accepted" if answer.accepted else "failed")
    write_log = log.info if answer.accepted else log.warning
    write_log(
        "webhook", webhook=webhook.pk, delivery=delivery.uid, events=delivery.number, status=answer.status,
        reason=answer.reason, ms=answer.duration_ms,
    )  # fmt: skip
    webhook.refresh_from_db(fields=["failures"])
    gone = answer.status == 410
    expired = moment - delivery.since >= GIVE_UP_AFTER
    wait_time = _wait_after(webhook.failures)
    with transaction.atomic():
        _record(delivery, answer, moment, expired=expired or gone)
        Webhook.objects.filter(pk=webhook.pk).update(
            failures=0 if answer.accepted else webhook.failures + 1,
            held_until=moment if answer.accepted else moment + wait_time,
        )
    if gone or (expired and not answer.accepted and not _accepted_since(webhook, delivery)):
        _disable(webhook, answer)
    return answer.accepted


def body_of(delivery: Delivery) -> bytes:
    """Return the body, the same bytes at each attempt."""
    body = {"type": "batch", "timestamp": delivery.created_at.isoformat(), "data": delivery.events}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def headers_of(secret: str, uid: str, body: bytes, moment: datetime) -> dict[str, str]:
    """Return the headers of Standard Webhooks: id, Unix time, and HMAC-SHA256 over both and the body."""
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


def _wait_after(failures: int) -> timedelta:
    """Return the wait after one more failure: 5 s, 15, 45 … 3 h, plus up to a fifth to spread the retries."""
    seconds = min(_FIRST_WAIT * 3.0 ** min(failures, 20), _MAX_WAIT)
    return timedelta(seconds=seconds * random.uniform(1, 1.2))  # noqa: S311


def _record(delivery: Delivery, answer: Answer, moment: datetime, *, expired: bool) -> None:
    status = (
        DeliveryStatus.DELIVERED if answer.accepted else DeliveryStatus.FAILED if expired else DeliveryStatus.PENDING
    )
    Delivery.objects.filter(pk=delivery.pk).update(
        status=status,
        attempts=delivery.attempts + 1,
        attempted_at=moment,
        next_at=moment + _wait_after(delivery.attempts),
        http_status=answer.status,
        reason=answer.reason,
        answer=answer.text,
        duration_ms=answer.duration_ms,
    )


def _accepted_since(webhook: Webhook, delivery: Delivery) -> bool:
    """Whether the webhook has accepted anything since this delivery began."""
    return webhook.deliveries.filter(status=DeliveryStatus.DELIVERED, attempted_at__gte=delivery.since).exists()


def _disable(webhook: Webhook, answer: Answer) -> None:
    """Disable the webhook, and notify its owner."""
    if not Webhook.objects.filter(pk=webhook.pk).disable():
        return
    log.warning("webhook disabled", webhook=webhook.pk, reason=answer.reason)
    with override(webhook.owner.language):
        context = {"webhook": webhook, "why": reason_words(answer.reason), "public_url": settings.PUBLIC_URL}
        body = render_to_string("webhooks/email/disabled_message.txt", context)
        try:
            send_mail(_("Vestnik: webhook disabled"), body, None, [webhook.owner.email])
            MAILS.add("webhook", "sent")
        except OSError as error:  # every exception of smtplib is one
            log.warning("e-mail not sent", webhook=webhook.pk, error=type(error).__name__)
            MAILS.add("webhook", "failed")
