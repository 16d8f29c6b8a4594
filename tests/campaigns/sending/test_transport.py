"""The transport over real HTTP: reuse of connections, clean-up and errors."""

import gc
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest
from django.conf import settings

from campaigns.gateways.drivers.probe import Probe
from campaigns.gateways.protocol import MAX_ANSWER_BYTES, Answer, Outcome, Request, TransportFailure, Verdict
from campaigns.sandbox.server import Sandbox
from campaigns.sending.transport import CurlTransport, _Exchange
from tests.stack import wait_for


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Disable the garbage collector, which hardly ever runs in a worker."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def open_files() -> int:
    """The number of files that this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def exchanges() -> int:
    """The number of existing exchanges."""
    return sum(type(thing) is _Exchange for thing in gc.get_objects())


def send(sandbox: Sandbox, transport: CurlTransport, number: int, concurrency: int) -> int:
    """Send this many messages, and return the highest number of open files."""
    probe = Probe(sandbox.url, settings.GATEWAY_TOKEN)
    ended, submitted, highest = 0, 0, 0
    while ended < number:
        while submitted < number and transport.in_flight < concurrency:
            submitted += 1
            transport.submit(submitted, probe.build(submitted, 79991234567, "Hello"), 5)
        answers = transport.poll(0.05)
        assert all(answer.status == 200 for _, answer in answers), answers
        ended += len(answers)
        highest = max(highest, open_files())
    return highest


@pytest.mark.usefixtures("no_collector")
def test_connections_are_reused_and_closed_without_leaks(sandbox: Sandbox) -> None:
    transport = CurlTransport(Probe(sandbox.url, settings.GATEWAY_TOKEN).headers)
    send(sandbox, transport, 5, 5)
    warm = open_files()
    assert send(sandbox, transport, 200, 5) <= warm + 1
    assert exchanges() == 5
    transport.close()
    assert exchanges() == 0
    # Both ends of five connections, because the sandbox runs in this process.
    wait_for(lambda: open_files() <= warm - 10, "the end of the connections")


def answers_to(*replies: bytes) -> list[Answer]:
    """The answers that a transport gets from a server with these replies. Each reply closes its connection."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for reply in replies:
            connection, _ = server.accept()
            # The client closes the connection once it has read enough.
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
def test_an_error_is_understood_without_its_complete_body(status: int, body: bytes, outcome: Outcome | None) -> None:
    head = f"HTTP/1.1 {status} X\r\nRetry-After: 7\r\nContent-Length: {len(body) + 9}\r\n\r\n"
    answer, no_answer = answers_to(head.encode() + body, b"")
    if outcome is None:
        assert answer.failure in (TransportFailure.RESET, TransportFailure.OVERSIZED)
    else:
        assert Probe("http://x", "").parse(answer) == outcome
    assert (no_answer.status, no_answer.failure) == (0, TransportFailure.RESET)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("Retry-After: 0", 0),
        ("retry-after: Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Retry-After: 7", 7),
        ("X-Retry-After: 7", None),
    ],
)
def test_retry_after_is_read_from_the_header(header: str, seconds: float | None) -> None:
    replies = [
        f"HTTP/1.1 429 X\r\n{head}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode()
        for head in (header, "X: y")
    ]
    assert [answer.retry_after for answer in answers_to(*replies)] == [seconds, None]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_running_out_of_files_is_not_blamed_on_the_gateway(host: str) -> None:
    transport = CurlTransport([])
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_files() + 50, limits[1]))
    held: list[int] = []
    try:
        with suppress(OSError):
            while True:
                held.append(os.dup(0))
        transport.submit(1, Request(f"http://{host}:9/"), 5)
        answers = wait_for(lambda: transport.poll(0.05), "an answer")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for file in held:
            os.close(file)
    assert [answer.failure for _, answer in answers] == [TransportFailure.NO_FILES]
    transport.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[fe80::1]/",
        "http://[::ffff:169.254.169.254]/",
        "http://[fd00:ec2::254]/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
    ],
)
def test_forbidden_addresses_and_schemes_get_no_request(url: str) -> None:
    transport = CurlTransport([])
    transport.submit(None, Request(url, b"{}"), 5)
    [(_, answer)] = wait_for(lambda: transport.poll(0.1), "the answer")
    transport.close()
    assert answer.failure is not None
    assert (answer.status, answer.body) == (0, b"")
