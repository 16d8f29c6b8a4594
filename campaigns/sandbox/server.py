"""The sandbox's server: its paths, and ways to run it in this process or in a thread."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import IO, Final

from aiohttp import web
from django.conf import settings
from yarl import URL

from campaigns.sandbox import control, page
from campaigns.sandbox.answers import OK, REDIRECTED, Silence
from campaigns.sandbox.faults import Faults
from campaigns.sandbox.gateway import Gateway
from campaigns.sandbox.provider import Provider

SEND: Final = "/v1/send/"
BACKLOG: Final = 4_096  # a sender may open all its connections at the same time


async def redirected(gateway: Gateway, request: web.BaseRequest) -> web.StreamResponse:
    """The target of the redirect fault: answers with success, and counts clients that followed."""
    gateway.ledger.redirected += 1
    return OK.suited(request)


CALLS: Final[dict[str, dict[str, Callable[[Gateway, web.BaseRequest], Awaitable[web.StreamResponse]]]]] = {
    "/": {"GET": page.show, "POST": page.change},
    "/stats": {"GET": control.stats, "DELETE": control.clear},
    "/accepted": {"GET": control.accepted},
    "/faults": {"GET": control.faults, "PUT": control.change_faults},
    "/outage": {"POST": control.switch_outage},
    REDIRECTED: {"GET": redirected, "POST": redirected},
    **{path: {"GET": page.asset} for path in page.ASSETS},
}


class Sandbox(Gateway):
    """A gateway with a server; `url` is the value for GATEWAY_URL."""

    url = ""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Handle any request: the send call on a fast path, others by the table."""
        path = request.path
        if path.startswith(SEND) and request.method == "POST":
            return await self.send(request, path.removeprefix(SEND))
        calls = {"POST": None} if path.startswith(SEND) else CALLS.get(path)
        if calls is None:
            raise web.HTTPNotFound
        call = calls.get(request.method)
        if call is None:
            raise web.HTTPMethodNotAllowed(request.method, calls)
        try:
            return await call(self, request)
        except web.RequestPayloadError:
            raise web.HTTPBadRequest from None
        except ConnectionError:
            return Silence()

    async def start(self, host: str, port: int) -> web.ServerRunner:
        """Listen on `host` and `port` (0: any free one) until the runner's `cleanup`; OSError if that fails."""
        server = web.Server(self.handle, access_log=None)
        # Zero would mean to wait forever for hanging requests.
        runner = web.ServerRunner(server, shutdown_timeout=0.01)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port, backlog=BACKLOG).start()
        except BaseException:
            await runner.cleanup()
            raise
        self.url = str(URL.build(scheme="http", host=host, port=runner.addresses[0][1], path="/v1"))
        return runner


class ProviderSandbox(Provider, Sandbox):
    """A provider with a server."""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Handle any request: the sandbox's own by the table, others as the provider."""
        return await (super().handle(request) if request.path in CALLS else self.receive(request))

    async def start(self, host: str, port: int) -> web.ServerRunner:
        """See `Sandbox`; the provider's paths begin at the root."""
        runner = await super().start(host, port)
        self.url = self.url.removesuffix("/v1")
        return runner


@contextmanager
def running_sandbox(
    faults: Faults | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    token: str | None = None,
    seed: int | None = None,
    log: IO[str] | None = None,
) -> Iterator[Sandbox]:
    """Serve a sandbox on loopback, or another local address, in a thread until the block ends."""
    sandbox = Sandbox(faults or Faults(), token=token or settings.GATEWAY_TOKEN, seed=seed, log=log)
    with serving(sandbox, host, port):
        yield sandbox


@contextmanager
def serving(sandbox: Sandbox, host: str = "127.0.0.1", port: int = 0) -> Iterator[None]:
    """Serve a sandbox in a thread until the block ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="sandbox", daemon=True)
    thread.start()
    try:
        runner = asyncio.run_coroutine_threadsafe(sandbox.start(host, port), loop).result()
        try:
            yield
        finally:
            asyncio.run_coroutine_threadsafe(_end(runner), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(runner: web.ServerRunner) -> None:
    """Stop serving, and cancel hanging requests."""
    await runner.cleanup()
    hanging = asyncio.all_tasks() - {asyncio.current_task()}
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
