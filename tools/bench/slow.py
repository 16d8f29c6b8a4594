"""A gateway that says yes after a while, or at once where there is no nginx.

It reads whole requests only, keeps connections, looks at nothing, and answers from one constant. What is due
leaves together, a thousand times a second.
"""

import asyncio
import sys
from collections import deque

BODY = b'{"code": 0, "message": "OK"}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
_TICK_SECONDS = 0.001

waiting: deque[tuple[float, asyncio.Transport]] = deque()


class Sink(asyncio.Protocol):
    """One connection."""

    delay = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember whom to answer."""
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.buffer, self.loop = transport, b"", asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self.buffer += data
        while True:
            head = self.buffer.find(b"\r\n\r\n")
            if head < 0:
                return
            mark = self.buffer.find(b"Content-Length: ", 0, head) + 16
            end = head + 4 + int(self.buffer[mark : self.buffer.index(b"\r\n", mark)])
            if len(self.buffer) < end:
                return
            self.buffer = self.buffer[end:]
            if self.delay:
                waiting.append((self.loop.time() + self.delay, self.transport))
            else:
                self.transport.write(ANSWER)


async def serve(delay: float) -> None:
    """Listen on a free port, print it, and answer each request `delay` seconds after it came, until killed."""
    Sink.delay = delay
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Sink, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    while True:
        await asyncio.sleep(_TICK_SECONDS if delay else 3600)
        while waiting and waiting[0][0] <= loop.time():
            waiting.popleft()[1].write(ANSWER)


if __name__ == "__main__":
    try:
        asyncio.run(serve(float(sys.argv[1])))
    except KeyboardInterrupt:
        sys.exit(0)
