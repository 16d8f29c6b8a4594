"""The whole program as in production: gunicorn, `manage.py worker` and a sandbox, with its own database."""

import io
import itertools
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg2
import requests

from campaigns.sandbox.faults import Faults
from campaigns.sandbox.ledger import Ledger
from campaigns.sandbox.server import Sandbox, running_sandbox
from tests.provider import Provider, running_provider

ROOT = Path(__file__).resolve().parent.parent
TOKEN, EMAIL, PASSWORD = "stack-token", "root@example.org", "correct horse battery"
_numbers = itertools.count()
_phones = itertools.count(79160000000)


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 30) -> Any:
    """Poll until the condition is true, and return its value; AssertionError with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = condition()
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")


def free_port() -> int:
    """A free port on loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Stack:
    """The web and worker processes of one host with their environment, and their sandbox.

    `folder` is theirs, `code` is the program's.
    """

    address = "127.0.0.1"
    prefix: tuple[str, ...] = ()
    """The command prefix that starts a process on this host."""

    def __init__(self, folder: Path, database_url: str, sandbox: Sandbox, code: Path = ROOT) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.sandbox, self.code = folder, sandbox, code
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "project.settings",
            "DATA_DIR": str(folder),
            "DATABASE_URL": database_url,
            "DEBUG": "1",
            "LOG_FORMAT": "json",
            "LOG_LEVEL": "INFO",
            "PORT": str(self.port),
            "PUBLIC_URL": self.url,
            "GATEWAY_URL": sandbox.url,
            "GATEWAY_TOKEN": TOKEN,
            "GATEWAY_TIMEOUT": "2",
            "RETRY_BASE": "0.2",
            "RETRY_CAP": "10",
            "MAX_ATTEMPTS": "20",
        }
        self.provider: Provider
        self.worker: subprocess.Popen[bytes] | None = None
        self.log = io.StringIO()
        """The sandbox's log: one JSON line per request since `new_ledger`."""

    def manage(self, *arguments: str) -> str:
        """Run a management command, and return its output."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            command, cwd=self.code, env=self.environment, check=True, capture_output=True, text=True, timeout=120
        )
        return done.stdout

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Run a query directly on the database."""
        url = self.environment["DATABASE_URL"]
        connection = psycopg2.connect(url) if url.startswith("postgres") else sqlite3.connect(urlsplit(url).path[1:])
        try:
            cursor = connection.cursor()
            cursor.execute(query)
            rows = list(cursor.fetchall())
            connection.commit()
            return rows
        finally:
            connection.close()

    def start(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        """Start a process in its own session, with its output in a file."""
        log = (self.folder / f"{name}.log").open("ab")
        return subprocess.Popen(
            [*self.prefix, sys.executable, *command],
            cwd=self.code,
            env=self.environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    def set_up(self) -> None:
        """Migrate the database, and create the administrator."""
        self.manage("migrate", "-v0")
        self.environment |= {"DJANGO_SUPERUSER_EMAIL": EMAIL, "DJANGO_SUPERUSER_PASSWORD": PASSWORD}
        self.manage("createsuperuser", "--noinput")

    def start_worker(self) -> None:
        """Start the worker, and wait until it completes tasks."""
        self.worker = self.start("worker", "manage.py", "worker")
        wait_for(lambda: requests.get(f"{self.url}/readyz", timeout=5).ok, "a live worker", 60)

    def worker_pids(self) -> list[int]:
        """The ids of all processes of the worker, found by the folder in their environment."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/environ"):
            try:
                command = (entry.parent / "cmdline").read_bytes()
                is_worker = f"DATA_DIR={self.folder}".encode() in entry.read_bytes() and b"\0worker" in command
            except OSError:
                continue
            if is_worker:
                found.append(int(entry.parent.name))
        return found

    def kill_worker(self) -> None:
        """Kill the whole process tree with SIGKILL, as in a power failure."""
        for pid in self.worker_pids():
            os.kill(pid, signal.SIGKILL)
        assert self.worker
        self.worker.wait()
        wait_for(lambda: not self.worker_pids(), "the end of the worker")

    def stop_worker(self) -> int:
        """Stop the worker with SIGTERM, as a process manager does; return the exit code."""
        assert self.worker
        self.worker.terminate()
        return self.worker.wait(30)

    def api(self, token: str | None = None) -> "Api":
        """A client of the JSON API."""
        return Api(f"{self.url}/api/v1", token)

    def fresh_api(self) -> "Api":
        """The API for the administrator, after removing what earlier tests left behind, also in the sandbox."""
        api = self.api(self.api().call("POST", "/tokens", 201, email=EMAIL, password=PASSWORD)["token"])
        for (campaign,) in self.rows("SELECT id FROM campaigns_campaign WHERE status = 'running' AND NOT direct"):
            api.post(f"{api.root}/campaigns/{campaign}/cancel", timeout=20)
        open_ones = "SELECT id FROM campaigns_campaign WHERE status = 'running'"
        left = f"SELECT id FROM campaigns_run WHERE sending > 0 OR pending > 0 AND campaign_id IN ({open_ones})"
        self.rows("DELETE FROM campaigns_unsaved RETURNING id")
        self.sandbox.faults = Faults()
        wait_for(lambda: not self.rows(left), "the end of what an earlier test sends")
        self.new_ledger()
        return api

    def new_ledger(self) -> None:
        """Let the sandbox forget what it has received."""
        self.log = io.StringIO()
        self.sandbox.ledger = Ledger(self.log)


class Api(requests.Session):
    """A client of the JSON API of a stack."""

    def __init__(self, root: str, token: str | None) -> None:
        super().__init__()
        self.root = root
        if token:
            self.headers["Authorization"] = f"Bearer {token}"

    def call(self, method: str, path: str, status: int = 200, /, **json: Any) -> Any:
        """Call the API, check the status, and return the JSON."""
        answer = self.request(method, self.root + path, json=json or None, timeout=20)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None


def add_contacts(api: Api, tag: str, number: int) -> None:
    """Create this many contacts with the tag."""
    for phone in itertools.islice(_phones, number):
        api.call("POST", "/contacts", 201, phone=str(phone), first_name="Ирина", tags=[tag])


def launch(api: Api, tag: str, **fields: Any) -> int:
    """Launch a campaign to the contacts with the tag; return its id."""
    ends_at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    body = {"name": tag, "text": f"{tag}: {{first_name|друг}}!", "audience": {"tags": [tag]}, "ends_at": ends_at}
    return int(api.call("POST", "/campaigns", 201, **{**body, **fields})["id"])


def finished(api: Api, campaign: int) -> Any:
    """The campaign's figures if it is finished, else None."""
    stats = api.call("GET", f"/campaigns/{campaign}/stats")
    return stats if stats["finished_at"] else None


@contextmanager
def running_stack(folder: Path, database_url: str | None = None) -> Iterator[Stack]:
    """Run a migrated stack on that database, or on a new one of the suite's kind."""
    with ExitStack() as context:
        url = database_url or context.enter_context(database(folder))
        stack = Stack(folder, url, context.enter_context(running_sandbox(token=TOKEN, seed=1)))
        stack.provider = context.enter_context(running_provider())
        stack.environment |= stack.provider.environment
        stack.set_up()
        context.enter_context(processes(stack))
        yield stack


@contextmanager
def processes(stack: Stack) -> Iterator[None]:
    """Run the web and worker processes of a host."""
    bind = f"{stack.address}:{stack.port}"
    web = stack.start("web", "-m", "gunicorn", "project.wsgi", "--bind", bind, "--threads", "4")
    try:
        wait_for(lambda: _answers(f"{stack.url}/healthz"), "the web process", 60)
        stack.start_worker()
        yield
    finally:
        if stack.worker_pids():
            stack.stop_worker()
        web.terminate()
        web.wait(30)


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False


@contextmanager
def database(folder: Path) -> Iterator[str]:
    """Create a database on the server of DATABASE_URL, or an SQLite file."""
    url = os.environ.get("DATABASE_URL", "")
    if not url.startswith("postgres"):
        yield f"sqlite:///{folder / 'stack.sqlite3'}"
        return
    name = f"vestnik_stack_{os.getpid()}_{next(_numbers)}"
    server = psycopg2.connect(url)
    server.autocommit = True
    with server.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        cursor.execute(f"CREATE DATABASE {name}")
        try:
            yield urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
        finally:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
    server.close()
