"""The transport over real HTTP: what it keeps between requests, and what it leaves behind."""

import gc
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest
from django.conf import settings

from campaigns.gateways.base import MAX_ANSWER_BYTES, Answer, Outcome, Trouble, Verdict
from campaigns.gateways.probe import Probe
from campaigns.sandbox.server import Sandbox
from campaigns.sending.transport import CurlTransport, _Exchange
from tests.stack import wait_for


@pytest.fixture
def no_collector() -> Iterator[None]:
    """As in a worker, where the garbage collector hardly ever comes."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def files() -> int:
    """How many files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def exchanges() -> int:
    """How many handles there are."""
    return sum(type(thing) is _Exchange for thing in gc.get_objects())


def send(sandbox: Sandbox, transport: CurlTransport, number: int, concurrency: int) -> int:
    """Send so many messages, and return the most files that were open meanwhile."""
    probe = Probe(sandbox.url, settings.GATEWAY_TOKEN)
    ended, asked, most = 0, 0, 0
    while ended < number:
        while asked < number and transport.in_flight < concurrency:
            asked += 1
            transport.submit(asked, probe.build(asked, 79991234567, "Hello"), 5)
        answers = transport.poll(0.05)
        assert all(answer.status == 200 for _, answer in answers), answers
        ended += len(answers)
        most = max(most, files())
    return most


@pytest.mark.usefixtures("no_collector")
def test_connections_are_kept_and_then_closed_with_all_that_belongs_to_them(sandbox: Sandbox) -> None:
    transport = CurlTransport(Probe(sandbox.url, settings.GATEWAY_TOKEN).headers)
    send(sandbox, transport, 5, 5)
    warm = files()
    assert send(sandbox, transport, 200, 5) <= warm + 1
    assert exchanges() == 5
    transport.close()
    assert exchanges() == 0
    # Both ends of five connections, for the sandbox is in this process.
    wait_for(lambda: files() <= warm - 10, "the end of the connections")


def answers_to(*replies: bytes) -> list[Answer]:
    """What one handle gets from a server that answers so, each time on a connection that ends with the reply."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for reply in replies:
            connection, _ = server.accept()
            # Whoever has read enough hangs up.
            with connection, suppress(OSError):
                connection.recv(65536)
                connection.sendall(reply)

    thread = Thread(target=serve)
    thread.start()
    probe = Probe(f"http://127.0.0.1:{server.getsockname()[1]}", "token")
    transport, answers = CurlTransport(probe.headers), []
    for number, _ in enumerate(replies, 1):
        transport.submit(number, probe.build(number, 79991234567, "Hello"), 5)
        while transport.in_flight:
            answers += [answer for _, answer in transport.poll(0.1)]
    transport.close()
    thread.join()
    server.close()
    return answers


@pytest.mark.parametrize("body", [b"", b"x" * (MAX_ANSWER_BYTES + 1)], ids=["cut off", "oversized"])
@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, None),
        (400, Outcome(Verdict.REFUSED, "http_400")),
        (403, Outcome(Verdict.UNAUTHORISED, "http_403")),
        (503, Outcome(Verdict.RETRY, "http_503", hold=7)),
    ],
)
def test_an_answer_that_is_no_success_is_understood_without_its_body(
    status: int, body: bytes, outcome: Outcome | None
) -> None:
    head = f"HTTP/1.1 {status} X\r\nRetry-After: 7\r\nContent-Length: {len(body) + 9}\r\n\r\n"
    answer, silence = answers_to(head.encode() + body, b"")
    if outcome is None:
        assert answer.trouble in (Trouble.RESET, Trouble.OVERSIZED)
    else:
        assert Probe("http://x", "").parse(answer) == outcome
    assert (silence.status, silence.trouble) == (0, Trouble.RESET)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("Retry-After: 0", 0),
        ("retry-after: Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Retry-After: 7", 7),
        ("X-Retry-After: 7", None),
    ],
)
def test_a_gateway_may_ask_for_the_least_pause(asked: str, told: float | None) -> None:
    replies = [
        f"HTTP/1.1 429 X\r\n{head}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode()
        for head in (asked, "X: y")
    ]
    assert [answer.retry_after for answer in answers_to(*replies)] == [told, None]
