"""Real gunicorn with our configuration, and clients that are slow, greedy or malformed."""

import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

import pytest
import requests

from project.http.server import MAX_LARGE_BODIES
from tests.stack import ROOT, wait_for

THREADS: Final = 2
MAX_CONNECTIONS: Final = 200  # as tests/project/echo.py sets it
SLOW_HEAD: Final = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
SLOW_BODY: Final = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nand then"
LARGE_BODY: Final = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90000000\r\n\r\n" + b"x" * 1000
GET: Final = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
CHUNKED: Final = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
SEEDS: Final = (GET, SLOW_BODY, CHUNKED, b"GET /?a=%41 HTTP/1.0\r\nCookie: a=b\r\nExpect: 100-continue\r\n\r\n")
SPLINTERS: Final = (
    *(
        b"",
        b"\r",
        b"\n",
        b"\r\n\r\n",
        b"\0",
        b" ",
        b":",
        b"\xff\xfe",
        b"%",
        b"%zz",
        b"/" * 50,
        b"A" * 9000,
        b"-1",
        b"0x1F",
    ),
    *(
        b"9" * 4400,
        b"\xd9\xa3",
        b"Content-Length: 1\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"[::1",
        b"http://[",
        b";a=\n",
    ),
    *(b"HTTP/9.9", b"\x16\x03\x01", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"ffffffffffffffff\r\n", b"\r\n\t folded"),
)
FUZZED: Final = 10_000


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """One process with two threads, so that few clients suffice."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("web")
    command = ["-m", "gunicorn", "tests.project.echo", "--bind", f"127.0.0.1:{number}", "--threads", str(THREADS)]
    environment = {**os.environ, "DEBUG": "1", "DATA_DIR": str(folder), "WEB_CONCURRENCY": "1"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            wait_for(lambda: answers(number), "gunicorn")
            serving = processes_of(process.pid)
            yield number
            assert processes_of(process.pid) == serving, (folder / "log").read_text()
        finally:
            process.terminate()
            process.wait(20)


def processes_of(parent: int) -> list[str]:
    """The ids of gunicorn's worker processes."""
    return Path(f"/proc/{parent}/task/{parent}/children").read_text().split()


def answers(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/", timeout=1).ok
    except requests.RequestException:
        return False


def connected(port: int, stack: ExitStack, begun: bytes) -> socket.socket:
    """A slow client that has begun a request."""
    client = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
    client.sendall(begun)
    return client


def is_closed(client: socket.socket) -> bool:
    """Whether the server closes the connection, even without an answer."""
    try:
        while client.recv(65536):
            pass
    except ConnectionError:
        return True
    return True


@pytest.mark.parametrize("begun", [b"", SLOW_HEAD, SLOW_BODY, LARGE_BODY])
def test_slow_clients_are_disconnected_and_block_nobody(port: int, begun: bytes) -> None:
    with ExitStack() as stack:
        slow = [connected(port, stack, begun) for _ in range(20 * THREADS)]
        for _ in range(5):
            began = time.monotonic()
            assert requests.post(f"http://127.0.0.1:{port}/", b"x" * 100_000, timeout=10).text == "100000"
            assert time.monotonic() - began < 2
            for client in slow if begun == SLOW_HEAD else ():
                client.send(b"a")
        assert all(is_closed(client) for client in slow)


def test_a_body_below_the_minimum_rate_is_disconnected(port: int) -> None:
    with ExitStack() as stack:
        client = connected(port, stack, SLOW_BODY)
        assert wait_for(lambda: refuses_more(client), "the end of the connection")


def refuses_more(client: socket.socket) -> bool:
    """Send one more byte, and return whether the server has closed the connection."""
    try:
        client.sendall(b"x")
    except ConnectionError:
        return True
    return False


def test_excess_connections_close_the_longest_waiting(port: int) -> None:
    with ExitStack() as stack:
        slow = [connected(port, stack, SLOW_HEAD) for _ in range(MAX_CONNECTIONS + 50)]
        assert requests.get(f"http://127.0.0.1:{port}/", timeout=1).ok
        assert all(is_closed(client) for client in slow[:50])


def test_excess_large_body_gets_503(port: int) -> None:
    announced = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90000000\r\n\r\n"
    with ExitStack() as stack:
        clients = [connected(port, stack, announced) for _ in range(MAX_LARGE_BODIES + 1)]
        assert clients[-1].recv(100).startswith(b"HTTP/1.1 503 ")


@pytest.mark.parametrize("last", [b"1", b"9" * 4400])
def test_a_body_larger_than_any_file_is_refused_before_it_is_read(port: int, last: bytes) -> None:
    with ExitStack() as stack:
        client = connected(port, stack, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 90000000" + last + b"0\r\n\r\n")
        assert client.recv(100).startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 413 "))


@pytest.mark.parametrize("taken", [0, 2 * 1024 * 1024])
def test_a_client_that_does_not_read_its_answer_holds_no_thread(port: int, taken: int) -> None:
    with ExitStack() as stack:
        clients = [connected(port, stack, b"GET /long HTTP/1.1\r\nHost: localhost\r\n\r\n") for _ in range(THREADS)]
        for _ in range(20 if taken else 0):  # for longer than it takes to be looked at
            for client in clients:
                assert client.recv(taken // 20, socket.MSG_WAITALL)
            time.sleep(0.1)
        for _ in range(THREADS):
            connected(port, stack, b"GET /long HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert requests.get(f"http://127.0.0.1:{port}/", timeout=30).ok


def test_a_body_that_pauses_after_a_fast_beginning_is_disconnected(port: int) -> None:
    with ExitStack() as stack:
        client = connected(port, stack, LARGE_BODY)
        for _ in range(20):
            client.sendall(b"x" * 100_000)
            time.sleep(0.1)
        assert wait_for(lambda: refuses_more(client), "the end of the connection", 20)


def test_a_connection_that_is_used_again_and_again_stays_open(port: int) -> None:
    with ExitStack() as stack:
        client = connected(port, stack, b"")
        for _ in range(20):
            client.sendall(GET)
            received = b""
            while not received.endswith(b"\r\n\r\n0"):
                part = client.recv(65536)
                assert part, "closed"
                received += part
            time.sleep(0.25)


def test_split_and_pipelined_requests_are_answered_in_order(port: int) -> None:
    with ExitStack() as stack:
        client = connected(port, stack, GET[:10])
        for piece in (GET[10:], SLOW_BODY, b"x" * 992 + GET + GET):
            client.sendall(piece)
            time.sleep(0.05)
        received = b""
        while received.count(b"\r\n\r\n") < 4 or not received.endswith(b"0"):
            part = client.recv(65536)
            assert part, received
            received += part
    bodies = [part.partition(b"HTTP/")[0] for part in received.split(b"\r\n\r\n")[1:]]
    assert bodies == [b"0", b"1000", b"0", b"0"]


def test_large_and_chunked_bodies_arrive_whole(port: int) -> None:
    assert requests.post(f"http://127.0.0.1:{port}/", b"x" * 30_000_000, timeout=30).text == "30000000"
    assert requests.post(f"http://127.0.0.1:{port}/", iter([b"x" * 300_000] * 3), timeout=10).text == "900000"


@pytest.mark.parametrize("head", [b"X: " + b"a" * 512 * 1024, b"X" * 300_000, b"Content-Length: -1\r\n\r\n"])
def test_a_head_out_of_bounds_is_refused(port: int, head: bytes) -> None:
    with ExitStack() as stack:
        client = connected(port, stack, b"GET / HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n\r\n")
        assert client.recv(100).startswith((b"HTTP/1.1 400", b"HTTP/1.0 431", b"HTTP/1.1 431"))


def malformed(rng: random.Random) -> bytes:
    """A request with a few random errors."""
    request = bytearray(rng.choice(SEEDS))
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(request) + 1)
        request[place : place + rng.choice([0, 0, 1, 5])] = rng.choice(SPLINTERS)
    return bytes(request)


def test_malformed_requests_leave_the_process_alive(port: int) -> None:
    rng = random.Random(1)
    for _ in range(FUZZED):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(malformed(rng))
            with suppress(OSError):  # may be closed already
                client.shutdown(socket.SHUT_WR)
            assert is_closed(client)
    assert requests.get(f"http://127.0.0.1:{port}/", timeout=10).ok
