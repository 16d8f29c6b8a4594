"""The probe gateway's protocol: strict about requests, with simulated faults."""

import asyncio
import json
import math
import random
import time
from contextlib import suppress
from email.utils import formatdate
from typing import IO, Final

from aiohttp import web

from campaigns.sandbox.answers import CANNED, Answer, Silence, reset, verdict
from campaigns.sandbox.faults import Faults
from campaigns.sandbox.ledger import ACCEPTED, CONFLICT, DENIED, GONE, INVALID, OUTAGE, Ledger, Message, digest_of

INT64: Final = range(-(2**63), 2**63)
PHONES: Final = range(10**7, 10**15)  # E.164: 8 to 15 digits
# With these faults the gateway accepts the message, but its answer fails.
ACCEPTING: Final = frozenset({"drip", "lost"})


class Refused(Exception):
    """The request is invalid: `answer` says why, `outcome` is its name in the ledger."""

    def __init__(self, status: int, message: str, outcome: str = INVALID) -> None:
        super().__init__(message)
        self.answer = verdict(status, status, message)
        self.outcome = outcome


class Gateway:
    """One sandbox: its faults, which can be replaced at any time, its ledger, and its one call.

    With a `seed`, the same requests in the same order get the same faults.
    """

    def __init__(self, faults: Faults, *, token: str, seed: int | None = None, log: IO[str] | None = None) -> None:
        self.faults = faults
        self.ledger = Ledger(log)
        self._authorization = f"Bearer {token}"
        self._random = random.Random(seed)  # noqa: S311 — faults, not secrets

    async def send(self, request: web.BaseRequest, raw_id: str) -> web.StreamResponse:
        """`POST /v1/send/{msgId}`: decide, record, then answer, so that no answer precedes its record."""
        arrived, at = time.monotonic(), time.time()
        self.ledger.arrive(arrived, self.faults.early_grace)
        msg_id, message = _int64(raw_id), None
        answer: web.StreamResponse | None = None
        try:
            if self.faults.outage:
                outcome = OUTAGE
            else:
                message = await self._message(request, msg_id)
                outcome = await self._outcome(message)
        except Refused as error:
            outcome, answer = error.outcome, error.answer
        except ConnectionError:
            outcome, answer = GONE, Silence()
        self.ledger.conclude(outcome, at, arrived, msg_id, message)
        if answer is None:
            answer = await self._answer(request, outcome)
        return answer.suited(request) if isinstance(answer, Answer) else answer

    async def _message(self, request: web.BaseRequest, msg_id: int | None) -> Message:
        """The message in `request`; Refused if the request is invalid."""
        if request.headers.get("Authorization") != self._authorization:
            raise Refused(401, "The token is missing or wrong", DENIED)
        if msg_id is None:
            raise Refused(404, "The message id is no 64-bit integer")
        try:
            body = await request.read()
        except web.RequestPayloadError:
            raise Refused(400, "The body's encoding is broken") from None
        return _checked(body, msg_id)

    async def _outcome(self, message: Message) -> str:
        """Wait for the latency, then draw the outcome: a fault, or the ledger's decision."""
        faults = self.faults
        fault = faults.pick(self._random.random())
        delay = faults.latency + faults.jitter * self._random.random() if faults.jitter else faults.latency
        if delay:
            await asyncio.sleep(delay)
        if fault is not None and fault not in ACCEPTING:
            return fault
        outcome = self.ledger.accept(message, time.time())
        return outcome if fault is None or outcome == CONFLICT else fault

    async def _answer(self, request: web.BaseRequest, outcome: str) -> web.StreamResponse:
        """The answer for `outcome`."""
        match outcome:
            case "unavailable":
                return verdict(503, 503, "Down for maintenance", Retry_After=self._hold())
            case "throttle":
                return verdict(429, 429, "Too many requests", Retry_After=self._hold())
            case "reset" | "lost" | "outage":
                return reset(request)
            case "hang":
                await asyncio.sleep(self.faults.hang_seconds)
                return Silence()
            case "drip":
                return await drip(request, CANNED[ACCEPTED])
        return CANNED[outcome]

    def _hold(self) -> str:
        """Start a hold; return the value of Retry-After, in seconds or as a date."""
        seconds: float = self.faults.retry_after
        text = str(seconds)
        if self.faults.retry_after_date and self._random.random() < 0.5:
            until = math.ceil(time.time() + seconds)
            seconds, text = until - time.time(), formatdate(until, usegmt=True)
        self.ledger.hold(time.monotonic(), seconds)
        return text


def _int64(raw: str) -> int | None:
    """`raw` as a 64-bit id, or None."""
    if raw.isascii() and raw.removeprefix("-").isdigit() and len(raw) <= 20 and (number := int(raw)) in INT64:
        return number
    return None


def _checked(body: bytes, msg_id: int) -> Message:
    """The message in `body`; Refused if a strict gateway would not accept it."""
    try:
        payload = json.loads(body.decode())
    except (ValueError, RecursionError):
        raise Refused(400, "The body is not JSON") from None
    if not isinstance(payload, dict) or type(payload.get("id")) is not int or payload["id"] != msg_id:
        raise Refused(400, "id must be the integer in the path")
    phone, text = payload.get("phone"), payload.get("text")
    if type(phone) is not int or phone not in PHONES:
        raise Refused(400, "phone must be an integer of 8 to 15 digits")
    if not isinstance(text, str) or not text:
        raise Refused(400, "text must be a string and not empty")
    try:
        return Message(msg_id, phone, text, digest_of(phone, text))
    except UnicodeEncodeError:
        raise Refused(400, "text is not valid Unicode") from None


async def drip(request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
    """The normal answer at one byte per second, until the client disconnects."""
    body = answer.content
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
    with suppress(ConnectionError):
        await response.prepare(request)
        for byte in body:
            await response.write(bytes([byte]))
            await asyncio.sleep(1)
    return response
