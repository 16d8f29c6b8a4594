"""The real Kannel from Debian on loopback: bearerbox, smsbox, fake SMSC, and a message centre that refuses.

What it calls for a receipt is kept; tests put it through the API in their own transaction.
"""

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from tests.stack import wait_for

FAKE_SMSC: Final = Path("/usr/lib/kannel/test/fakesmsc")
MISSING: Final = not (shutil.which("bearerbox") and shutil.which("smsbox") and FAKE_SMSC.exists())
REFUSED_PREFIX: Final = "7906"
"""Phones with this prefix go to the message centre that refuses everything."""
_CONFIGURATION: Final = """
group = core
admin-port = {admin}
admin-password = test
smsbox-port = {box}
box-allow-ip = 127.0.0.1
log-file = {folder}/bearerbox.log
store-type = file
store-location = {folder}/store
dlr-storage = internal

group = smsc
smsc = fake
smsc-id = fake
port = {fake}
connect-allow-ip = 127.0.0.1
denied-prefix = {prefix}

group = smsc
smsc = http
smsc-id = refusing
system-type = kannel
port = {unused}
smsc-username = u
smsc-password = p
send-url = "http://127.0.0.1:{web}/refuse"
allowed-prefix = {prefix}

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {send}
log-file = {folder}/smsbox.log

group = sendsms-user
username = vestnik
password = secret
default-sender = Vestnik
max-messages = 10
concatenation = true

group = sms-service
keyword = default
max-messages = 0
text = none
"""


class Kannel:
    """A Kannel on its own ports. It can be restarted and keeps its store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.web = ThreadingHTTPServer(("127.0.0.1", 0), _Web)
        self.web.daemon_threads = True
        self.web.receipts = SimpleQueue()  # type: ignore[attr-defined]
        threading.Thread(target=self.web.serve_forever, daemon=True).start()
        names = ("admin", "box", "fake", "unused", "send")
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        text = _CONFIGURATION.format(folder=folder, prefix=REFUSED_PREFIX, web=self.web.server_port, **self.ports)
        (folder / "kannel.conf").write_text(text)
        self.reported: dict[int, str] = {}
        """The last receipt's status by message."""
        self.reported_at = time.monotonic()
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def url(self) -> str:
        """The address for sending messages."""
        return f"http://127.0.0.1:{self.ports['send']}"

    @property
    def callback(self) -> str:
        """The address of the stand-in for our web server."""
        return f"http://127.0.0.1:{self.web.server_port}"

    @property
    def delivered(self) -> int:
        """The number of messages that the fake SMSC has received."""
        return (self.folder / "fakesmsc.log").read_bytes().count(b"Got message")

    def receipts(self) -> Iterator[str]:
        """Yield the addresses called since the last time."""
        queue = self.web.receipts  # type: ignore[attr-defined]
        while not queue.empty():
            address = queue.get()
            query = dict(parse_qsl(urlsplit(address).query))
            self.reported[int(query["message"])] = query["status"]
            self.told_at = time.monotonic()
            yield address

    def start(self) -> None:
        """Start, and wait until it accepts messages and the fake SMSC is connected."""
        self._run("bearerbox", "kannel.conf")
        wait_for(lambda: listens(self.ports["box"]) and listens(self.ports["fake"]), "bearerbox")
        self._run("smsbox", "kannel.conf")
        wait_for(lambda: listens(self.ports["send"]), "smsbox")
        self._run(str(FAKE_SMSC), "-m", "0", "-H", "127.0.0.1", "-r", str(self.ports["fake"]), "1 2 text nothing")

    def stop(self) -> None:
        """Stop as an operator would: boxes that accept messages first."""
        for process in (self._processes[1], self._processes[0], self._processes[2]):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()

    def _run(self, program: str, *arguments: str) -> None:
        with (self.folder / f"{Path(program).name}.log").open("ab") as log:
            self._processes.append(
                subprocess.Popen([program, *arguments], cwd=self.folder, stdout=log, stderr=subprocess.STDOUT)
            )


@contextmanager
def running_kannel(folder: Path) -> Iterator[Kannel]:
    """Run Kannel for the duration of the block."""
    kannel = Kannel(folder)
    try:
        kannel.start()
        yield kannel
    finally:
        kannel.stop()
        kannel.web.shutdown()


class _Web(BaseHTTPRequestHandler):
    """Stores receipt calls; as a message centre it refuses everything."""

    def do_GET(self) -> None:
        refused = self.path.startswith("/refuse")
        if not refused:
            self.server.receipts.put(self.path)  # type: ignore[attr-defined]
        self.send_response(403 if refused else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
