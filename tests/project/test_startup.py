"""Messages and refusals of web and worker at their start."""

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection
from pytest_django import Settings
from structlog.testing import capture_logs

from project import startup
from project.core.version import VERSION
from tests.stack import ROOT, wait_for


@pytest.fixture
def file_limit() -> Iterator[None]:
    """Restore the limits of this process."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def warnings() -> list[str]:
    """The warnings that `announce` logs."""
    with capture_logs() as logs:
        startup.announce("web")
    assert (logs[0]["event"], logs[0]["process"], logs[0]["version"]) == ("starting", "web", VERSION)
    return [entry["event"] for entry in logs if entry["log_level"] == "warning"]


def test_misspelt_setting_is_reported_with_a_suggestion() -> None:
    given = {
        "GATEWAY_TIMOUT": "5",
        "TIMEZONE": "UTC",
        "SECRET_KY_FILE": "x",
        "PATH": "",
        "GATEWAY_RATE": "1",
        "LANG": "",
    }
    assert startup.misspelt_settings(given) == {
        "GATEWAY_TIMOUT": "GATEWAY_TIMEOUT",
        "TIMEZONE": "TIME_ZONE",
        "SECRET_KY_FILE": "SECRET_KEY",
    }


def test_production_with_a_stand_in_gateway_is_reported(settings: Settings) -> None:
    assert "messages reach nobody: the gateway is a stand-in" in warnings()
    settings.GATEWAY_TOKEN = "a-real-one"
    assert "messages reach nobody: the gateway is a stand-in" not in warnings()


@pytest.mark.usefixtures("file_limit")
def test_the_soft_limit_of_open_files_is_raised_as_far_as_needed() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, hard))
    startup.require_files_for_requests(100)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (556, hard)


def test_too_high_concurrency_stops_the_start(tmp_path: Path) -> None:
    process = run_worker(tmp_path, limit=400, GATEWAY_CONCURRENCY="500")
    assert process.wait(30) != 0
    assert process.stderr
    (line,) = [line for line in process.stderr.read().splitlines() if "can't start" in line]
    assert "GATEWAY_CONCURRENCY: 500 requests at once need 1756 open files, and the system allows 400" in line


def test_a_worker_heeds_sigterm_while_it_still_imports(tmp_path: Path) -> None:
    process = run_worker(tmp_path)
    wait_for(lambda: handles_sigterm(process.pid), "the handler of SIGTERM", seconds=20)
    process.terminate()
    assert process.wait(20) in {0, 128 + signal.SIGTERM}


@pytest.mark.parametrize("value", ["many", "0"])
def test_invalid_number_of_web_processes_is_one_line(tmp_path: Path, value: str) -> None:
    # gunicorn reads an invalid number from the environment before our configuration.
    (tmp_path / "env").write_text(f"WEB_CONCURRENCY={value}\n")
    command = [sys.executable, "-m", "gunicorn", "project.wsgi", "--bind", "127.0.0.1:0"]
    environment = {**os.environ, "DATA_DIR": str(tmp_path), "DEBUG": "1", "ENV_FILE": str(tmp_path / "env")}
    process = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=30
    )
    assert process.returncode != 0
    assert process.stderr.startswith("Vestnik can't start: WEB_CONCURRENCY: ")
    assert "Traceback" not in process.stderr


def test_the_number_of_web_processes_is_read_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("WEB_CONCURRENCY=7\n")
    command = [sys.executable, "-m", "gunicorn", "project.wsgi", "--print-config"]
    environment = {**os.environ, "DATA_DIR": str(tmp_path), "DEBUG": "1", "ENV_FILE": str(tmp_path / "env")}
    process = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=30)
    assert [line for line in process.stdout.splitlines() if line.split() == ["workers", "=", "7"]]


def run_worker(folder: Path, limit: int | None = None, **environment: str) -> "subprocess.Popen[str]":
    """`manage.py worker` on a new SQLite, with a hard limit of open files."""
    limited = ["prlimit", f"--nofile={limit}:{limit}"] if limit else []
    return subprocess.Popen(
        [*limited, sys.executable, "manage.py", "worker"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": "", "DATA_DIR": str(folder), "DEBUG": "1", **environment},
        stderr=subprocess.PIPE,
        text=True,
    )


def handles_sigterm(process: int) -> bool:
    """Whether the process handles SIGTERM itself (proc(5), SigCgt)."""
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines() if ":\t" in line
    )
    return bool(int(status["SigCgt"], 16) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.django_db
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no pooler")
class TestPooler:
    """Sessions and poolers on a real server."""

    def test_a_direct_connection_is_fine(self) -> None:
        startup.refuse_transaction_pooling()

    def test_one_session_for_two_connections_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(startup, "_session_id", lambda database: 7)
        with pytest.raises(SystemExit, match="pool by session"):
            startup.refuse_transaction_pooling()

    def test_a_process_names_itself(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SHOW application_name")
            assert cursor.fetchone()[0].startswith("vestnik ")

    def test_a_suspended_worker_loses_its_locks_before_its_leases(self) -> None:
        program = (
            "import sys; sys.argv = ['manage.py', 'worker']; import django; django.setup()\n"
            "from django.db import connection; cursor = connection.cursor()\n"
            "for name in ('statement', 'lock', 'idle_in_transaction_session'):\n"
            "    cursor.execute(f'SHOW {name}_timeout'); print(cursor.fetchone()[0])"
        )
        environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "project.settings"}
        command = [sys.executable, "-c", program]
        shown = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout
        assert shown.split() == ["30s", "15s", "10s"]


@pytest.mark.soak
@pytest.mark.skipif(connection.vendor != "postgresql" or not shutil.which("pgbouncer"), reason="needs PgBouncer")
@pytest.mark.parametrize(("mode", "refused"), [("transaction", True), ("session", False)])
def test_pgbouncer_is_refused_by_transaction_and_accepted_by_session(mode: str, refused: bool) -> None:
    database = connection.settings_dict
    port = 6543
    folder = Path(tempfile.mkdtemp())  # PgBouncer, which runs as nobody, can't read pytest's own
    folder.chmod(0o755)
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = host=127.0.0.1 port={database['PORT']} user={database['USER']}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = any\npool_mode = {mode}\nignore_startup_parameters = options\n"
    )
    url = f"postgres://{database['USER']}@127.0.0.1:{port}/postgres"
    program = "import django; django.setup(); from project.startup import refuse_transaction_pooling as r; r()"
    as_user = ["--user", "nobody"] if os.getuid() == 0 else []
    pooler = subprocess.Popen(["pgbouncer", *as_user, str(folder / "pgbouncer.ini")])
    try:
        wait_for(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, "PgBouncer")
        environment = {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "project.settings", "DEBUG": "1"}
        process = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert ("pools by transaction" in process.stderr) == refused, process.stderr
        assert (process.returncode != 0) == refused
    finally:
        pooler.terminate()
        pooler.wait(10)
        shutil.rmtree(folder)


def test_manage_py_shows_the_version_of_the_package() -> None:
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    shown = subprocess.run(
        [sys.executable, ROOT / "manage.py", "--version"], capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == package == VERSION
