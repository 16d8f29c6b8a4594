"""Real gunicorn with our configuration, and clients that are slow on purpose."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

import pytest
import requests

from project.web import MOST_HELD, expected
from tests.stack import ROOT, wait_for

THREADS: Final = 2
SLOW_HEAD: Final = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
SLOW_BODY: Final = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nand then"
LARGE_BODY: Final = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000\r\n\r\n" + b"x" * 1000
GET: Final = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """One process of two threads, so that few clients are many."""
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
            yield number
        finally:
            process.terminate()
            process.wait(20)


def answers(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/", timeout=1).ok
    except requests.RequestException:
        return False


def connected(port: int, stack: ExitStack, begun: bytes) -> socket.socket:
    """A client that has begun a request, and takes its time."""
    client = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
    client.sendall(begun)
    return client


@pytest.mark.parametrize("begun", [b"", SLOW_HEAD, SLOW_BODY, LARGE_BODY])
def test_slow_clients_starve_nobody_and_are_let_go(port: int, begun: bytes) -> None:
    with ExitStack() as stack:
        slow = [connected(port, stack, begun) for _ in range(20 * THREADS)]
        for _ in range(5):
            began = time.monotonic()
            assert requests.post(f"http://127.0.0.1:{port}/", b"x" * 100_000, timeout=10).text == "100000"
            assert time.monotonic() - began < 2
            for client in slow if begun == SLOW_HEAD else ():
                client.send(b"a")
        if begun != LARGE_BODY:
            assert all(client.recv(100) == b"" for client in slow)


def test_what_comes_in_pieces_or_at_once_is_answered_in_order(port: int) -> None:
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


def test_a_large_body_is_read_while_it_arrives(port: int) -> None:
    assert requests.post(f"http://127.0.0.1:{port}/", b"x" * 3_000_000, timeout=10).text == "3000000"
    assert requests.post(f"http://127.0.0.1:{port}/", iter([b"x" * 300_000] * 3), timeout=10).text == "900000"


@pytest.mark.parametrize("head", [b"X: " + b"a" * 2 * MOST_HELD, b"X: a\r\n" * 200, b"Content-Length: -1\r\n\r\n"])
def test_a_head_without_measure_is_refused(port: int, head: bytes) -> None:
    with ExitStack() as stack:
        client = connected(port, stack, b"GET / HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n\r\n")
        assert client.recv(100).startswith((b"HTTP/1.1 400", b"HTTP/1.1 431"))


def test_how_long_a_request_is_its_head_tells() -> None:
    assert expected(GET[:-1]) is None
    assert expected(GET + b"more") == len(GET)
    assert expected(SLOW_BODY) == len(SLOW_BODY) - len(b"and then") + 1000
    chunked = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\nContent-Length: 3\r\n\r\n"
    assert (expected(chunked) or 0) > MOST_HELD
