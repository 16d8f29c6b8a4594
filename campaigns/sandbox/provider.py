"""The sandbox as a provider: it speaks the dialect of a description, and sends receipts and incoming messages."""

import asyncio
from typing import Any, Final

import aiohttp
from aiohttp import web

from campaigns.sandbox.answers import Answer
from campaigns.sandbox.dialect import CallbackRequest, Dialect, Sent
from campaigns.sandbox.gateway import ACCEPTING, Gateway, Refused, drip
from campaigns.sandbox.ledger import ACCEPTED, DENIED, REPEAT, Message

_SENT: Final = web.RequestKey("sent", Sent)
_IDS: Final = web.RequestKey("ids", list[str])
_TRIES, _PAUSE_SECONDS = 5, 1.0


class Provider(Gateway):
    """A gateway that speaks a dialect.

    `callback` is where receipts and incoming messages go; an address in a message counts more for its receipts.
    """

    def __init__(self, *args: Any, dialect: Dialect, callback: str = "", **options: Any) -> None:
        super().__init__(*args, **options)
        self.dialect, self.callback = dialect, callback
        self.reported = self.unreported = 0
        """How many receipts and incoming messages were accepted, and how many were given up."""
        self._delivered: dict[str | None, bool] = {}
        """What becomes of the accepted messages, by the provider's id, for those who ask."""
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def pending(self) -> bool:
        """Whether receipts or incoming messages are on their way."""
        return bool(self._tasks)

    async def receive(self, request: web.BaseRequest) -> web.StreamResponse:
        """Any request that is not one of the sandbox's own."""
        body = await request.read()
        method, url = request.method, str(request.rel_url)
        asked = self.dialect.asked_for(method, url, body)
        if asked in self._delivered:
            return self.dialect.pulled(str(asked), delivered=self._delivered[asked])
        if self.dialect.read(method, url, body) is None and self.dialect.is_check(method, url, body):
            allowed = self.dialect.authorised(request.headers, url, body)
            return web.json_response({"balance": "100.00"}) if allowed else self.dialect.answer("unauthorized", [])
        return await self.send(request, "0")

    def incoming(self, phone: str, text: str) -> bool:
        """Send an incoming message; return whether that is possible."""
        request = self.dialect.incoming(phone, text, self.callback) if self.callback else None
        if request is not None:
            self._later(self._deliver(request))
        return request is not None

    async def _message(self, request: web.BaseRequest, msg_id: int | None) -> Message:
        body, url = await request.read(), str(request.rel_url)
        if not self.dialect.authorised(request.headers, url, body):
            raise _denied(self.dialect)
        sent = self.dialect.read(request.method, url, body)
        if sent is None:
            raise Refused(404, "This is not the request that the description says")
        if sent.callback:
            self.callback = sent.callback.partition("&message=")[0]
        request[_SENT] = sent
        return sent.message

    async def _answer(self, request: web.BaseRequest, outcome: str) -> web.StreamResponse:
        sent: Sent = request[_SENT]
        if outcome in {ACCEPTED, REPEAT, *ACCEPTING}:
            request[_IDS] = self.dialect.ids_for(sent)
            await self._report(sent, request[_IDS])
        answer = self.dialect.answer(ACCEPTED, request.get(_IDS, []))
        match outcome:
            case "throttle" | "unavailable":
                return self.dialect.answer(outcome, [], Retry_After=self._hold())
            case "drip":
                return await drip(request, answer)
            case "broken":
                return Answer(answer.status, answer.content[: len(answer.content) // 2])
            case "accepted" | "repeat":
                return answer
            case "refuse" | "no_money" | "unauthorized" | "code":
                return self.dialect.answer(outcome, [])
        return await super()._answer(request, outcome)

    async def _report(self, sent: Sent, ids: list[str]) -> None:
        """Send the receipts of an accepted message: one for each id, in any order."""
        faults, callback = self.faults, sent.callback or self.callback
        delivered = self._random.random() >= faults.undelivered
        self._delivered |= dict.fromkeys(ids, delivered)
        if not callback or self._random.random() >= faults.receipts:
            return
        for provider_id in ids or [""]:
            request = self.dialect.receipt(provider_id, sent.message.id, callback, delivered=delivered)
            if request is None:
                continue
            if faults.receipt_early:
                await self._deliver(request)
            else:
                self._later(self._deliver(request, after=faults.receipt_after * self._random.random()))
            if self._random.random() < faults.receipt_twice:
                self._later(self._deliver(request, after=faults.receipt_after * self._random.random()))

    def _later(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, request: CallbackRequest, *, after: float = 0.0) -> None:
        """Send a callback, and again after a pause until it is accepted, a few times."""
        await asyncio.sleep(after)
        timeout = aiohttp.ClientTimeout(total=10)
        for _attempt in range(_TRIES):
            try:
                async with (
                    aiohttp.ClientSession(timeout=timeout) as session,
                    session.request(
                        request.method, request.url, data=request.body, headers=request.headers, allow_redirects=False
                    ) as response,
                ):
                    if 200 <= response.status < 300:
                        self.reported += 1
                        return
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(_PAUSE_SECONDS)
        self.unreported += 1


def _denied(dialect: Dialect) -> Refused:
    """The refusal of wrong credentials, in the provider's words."""
    refused = Refused(401, "The credentials are wrong", DENIED)
    refused.answer = dialect.answer("unauthorized", [])
    return refused
