"""The log of exchanges with gateways: what was sent, what came back, and what it means. For a day, without secrets.

It helps people to set up a gateway and to find faults. It never delays or breaks what it describes.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from itertools import chain
from typing import Final

import structlog
from django.db import transaction

from campaigns.gateways import registry
from campaigns.gateways.masking import (
    HIDDEN,
    MAX_READ,
    NO_TEXT,
    SHOWN_CHARACTERS,
    HiddenPhone,
    Masker,
    ShownRequest,
    hidden_connection,
    shortened,
    shown_request,
    spellings_of_secrets,
)
from campaigns.gateways.protocol import Answer, Callback, InvalidReceipt, Outcome, Reported
from campaigns.models import Exchange
from campaigns.text import beyond_gsm7
from project.core.clock import now

log = structlog.get_logger("vestnik.exchanges")

KEPT: Final = 100
"""The exchanges that are kept of each gateway."""
_KEPT_FOR: Final = timedelta(days=1)
_PER_SECOND: Final = 10.0
_CALLBACKS_PER_SECOND: Final = 2.0
_BURST: Final = 10.0
_GSM7_TEXT: Final = "..."
_MAX_SEARCHED: Final = 10
"""Messages of a callback whose texts and phones are searched for in it."""


class Quota:
    """Few exchanges per second, so that the log costs nothing under load."""

    def __init__(self, per_second: float = _PER_SECOND) -> None:
        self._per_second, self._left, self._at = per_second, _BURST, time.monotonic()

    def take(self, wanted: int) -> int:
        """Return how many exchanges may be logged now, at most `wanted`."""
        moment = time.monotonic()
        self._left = min(_BURST, self._left + (moment - self._at) * self._per_second)
        self._at = moment
        taken = min(wanted, int(self._left))
        self._left -= taken
        return taken


class Recorder:
    """Makes the rows of one gateway, with the secrets that it has now. Raises as `registry.driver` does."""

    def __init__(self, gateway: str) -> None:
        kind, connection = registry.connection_of(gateway)
        self.gateway = gateway
        self._shown = kind.connect(hidden_connection(connection))
        self._secrets = spellings_of_secrets(connection, kind.connect(connection))

    def request_of(self, message_id: int, phone: int, text: str, sender: str = "") -> ShownRequest:
        """Return the request that sent a message, as people may see it."""
        hidden = HiddenPhone(phone)
        # The encoding of the stand-in is that of the text.
        request = self._shown.build(message_id, hidden, NO_TEXT if beyond_gsm7(text) else _GSM7_TEXT, sender)
        return shown_request(self._shown, request, hidden)

    def check_request(self) -> ShownRequest:
        """Return the request that sends no message."""
        return shown_request(self._shown, self._shown.check())

    def answer_of(self, answer: Answer, *, phone: int | None = None, text: str = "") -> str:
        """Return an answer as people may see it."""
        phones = [] if phone is None else [phone]
        return Masker(self._secrets, phones=phones, texts=[text]).body(answer.body)

    def sent(
        self, message_id: int, phone: int, text: str, answer: Answer, outcome: Outcome, *, sender: str = ""
    ) -> Exchange:
        """Return the row of a message that was sent."""
        shown, body = self.request_of(message_id, phone, text, sender), self.answer_of(answer, phone=phone, text=text)
        return self._row(shown, answer, body, verdict_of(outcome), outcome.reason, message_id=message_id)

    def checked(self, answer: Answer, reason: str) -> Exchange:
        """Return the row of a check."""
        verdict = Exchange.Verdict.FAILED if reason else Exchange.Verdict.CHECKED
        return self._row(self.check_request(), answer, self.answer_of(answer), verdict, reason)

    def received(self, method: str, callback: Callback, found: Reported | InvalidReceipt) -> Exchange:
        """Return the row of a callback, which was understood or not."""
        incoming = found.incoming if isinstance(found, Reported) else ()
        phones = chain.from_iterable((message.phone, message.recipient) for message in incoming)
        texts = [message.text for message in incoming]
        url = body = NO_TEXT
        # To search for much takes long.
        if len(texts) <= _MAX_SEARCHED and sum(map(len, texts)) <= SHOWN_CHARACTERS:
            masker = Masker(self._secrets, phones=phones, texts=texts, any_phone=True)
            query = "&".join(f"{name}={HIDDEN if name == 'key' else value}" for name, value in callback.query.items())
            url, body = shortened(masker.masked(query[:MAX_READ])), masker.body(callback.body)
            if any(text.strip() for text in texts) and NO_TEXT not in url + body:
                url = body = NO_TEXT  # the text is in an encoding that is not known
        return Exchange(
            gateway=self.gateway,
            at=now(),
            direction=Exchange.Direction.IN,
            message_id=_message_of(found),
            method=method,
            url=f"?{url}",
            request=body,
            answer="" if isinstance(found, Reported) else str(found),
            verdict=Exchange.Verdict.READ if isinstance(found, Reported) else Exchange.Verdict.UNREAD,
        )

    def _row(
        self,
        shown: ShownRequest,
        answer: Answer,
        body: str,
        verdict: str,
        reason: str,
        *,
        message_id: int | None = None,
    ) -> Exchange:
        return Exchange(
            gateway=self.gateway,
            at=now(),
            message_id=message_id,
            method=shown.method,
            url=shortened(shown.url),
            request=shortened(shown.body),
            status=answer.status or None,
            failure=answer.failure or "",
            answer=body,
            verdict=verdict,
            reason=reason[:60],
            duration_ms=answer.duration_ms,
        )


def verdict_of(outcome: Outcome) -> Exchange.Verdict:
    """Return what an outcome is called in the log."""
    return Exchange.Verdict.UNCERTAIN if outcome.uncertain else Exchange.Verdict(outcome.verdict.value)


def save_quietly(make: Callable[[], Iterable[Exchange]]) -> None:
    """Save rows. An error is logged without its text, which may contain what the rows must not."""
    try:
        rows = list(make())  # masking takes time, and SQLite has one writer
        with transaction.atomic():
            Exchange.objects.bulk_create(rows)
    except Exception as error:
        log.warning("exchanges not logged", error=type(error).__name__)


_callback_quotas: defaultdict[str, Quota] = defaultdict(lambda: Quota(_CALLBACKS_PER_SECOND))


def log_callback(gateway: str, method: str, callback: Callback, found: Reported | InvalidReceipt) -> None:
    """Log a callback of a gateway that exists: what it reports, or why it can't be read."""
    if _callback_quotas[gateway].take(1):
        save_quietly(lambda: [Recorder(gateway).received(method, callback, found)])


def exchanges_of(gateway: str) -> list[Exchange]:
    """Return the latest exchanges of a gateway, newest first."""
    since = now() - _KEPT_FOR
    return list(Exchange.objects.filter(gateway=gateway, at__gt=since).order_by("-pk")[:KEPT])


def prune(moment: datetime | None = None) -> None:
    """Delete the exchanges that are older than a day, and of each gateway all but the latest."""
    Exchange.objects.filter(at__lte=(moment or now()) - _KEPT_FOR).delete()
    for gateway in Exchange.objects.order_by("gateway").values_list("gateway", flat=True).distinct():
        rows = Exchange.objects.filter(gateway=gateway)
        too_old = rows.order_by("-pk").values_list("pk", flat=True)[KEPT : KEPT + 1].first()
        if too_old is not None:
            rows.filter(pk__lte=too_old).delete()


def _message_of(found: Reported | InvalidReceipt) -> int | None:
    """The message of a callback that is about a single one."""
    receipts = found.receipts if isinstance(found, Reported) else ()
    return receipts[0].message_id if len(receipts) == 1 else None
