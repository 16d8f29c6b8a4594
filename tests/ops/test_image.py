"""Each command of the Dockerfile, executed in a clean folder, and the image's processes as an unprivileged user."""

import json
import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.stack import ROOT, free_port, wait_for

NOBODY = 10001
pytestmark = [pytest.mark.soak, pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")]


class Image:
    """The image that the Dockerfile describes, in a folder instead of `/`; built by NOBODY from a read-only source."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in ("app", "context", "tmp"):
            (root / folder).mkdir()
        # The machine's own Python, and what pip needs to know here, stand for the base image.
        python = shutil.which("python3", path="/usr/local/bin:/usr/bin:/bin")
        assert python
        (root / "bin").mkdir()
        (root / "bin" / "python").symlink_to(python)
        base = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
        self.base = {**base, "PATH": f"{root}/bin:/usr/local/bin:/usr/bin:/bin", "HOME": f"{root}/tmp"}
        self.environment = self.base
        self.user = 0
        self.health: list[str] = []
        self.command: list[str] = []

    def inside(self, text: str) -> str:
        """Replace the image's folders by those in this folder."""
        return re.sub(r"(?<![\w/.])/(app|data|tmp)\b", rf"{self.root}/\1", text)

    def run(self, *command: str, user: int = NOBODY, **more: Any) -> str:
        """Run a command to its end; return its output."""
        environment = {**self.environment, **more}
        done = subprocess.run(
            command,
            cwd=self.root / "app",
            env=environment,
            user=user,
            group=user,
            extra_groups=[],
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def follow(self, word: str, rest: str) -> None:
        """Execute one instruction."""
        match word:
            case "FROM":
                self.environment, self.stage = self.base, rest
            case "ENV":
                pairs = dict(pair.split("=", 1) for pair in shlex.split(self.inside(rest)))
                path = pairs.get("PATH", "").replace("$PATH", self.environment["PATH"])
                self.environment = {**self.environment, **pairs, **({"PATH": path} if path else {})}
            case "COPY" if not rest.startswith("--from="):
                *sources, _ = rest.split()
                for source in sources:
                    self.run("cp", "-r", f"{self.root}/context/{source}", ".")
            case "RUN":
                # The last stage creates a folder for another user, which only root may.
                self.run("sh", "-c", self.inside(rest), user=NOBODY if self.stage.endswith("AS build") else 0)
            case "USER":
                self.user = int(rest.partition(":")[0])
            case "HEALTHCHECK":
                self.health = json.loads(rest.partition("CMD")[2])
            case "CMD":
                self.command = json.loads(rest)
            case _:
                assert word in {"WORKDIR", "VOLUME", "EXPOSE", "COPY"}, word

    @contextmanager
    def process(self, *command: str, **more: str) -> Iterator[Path]:
        """Run a process in the background until the block ends; yields its log."""
        log = self.root / "tmp" / f"{command[-1]}.log"
        with log.open("wb") as output:
            running = subprocess.Popen(
                command,
                cwd=self.root / "app",
                env={**self.environment, **more},
                user=self.user,
                group=self.user,
                extra_groups=[],
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            yield log
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(30)


def fill_context(folder: Path) -> None:
    """Copy the files that git tracks and `.dockerignore` admits."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    wanted = [line.removeprefix("!") for line in lines if line.startswith("!")]
    assert lines[0] == "*"
    known = subprocess.run(["git", "ls-files", *wanted], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in known.splitlines():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)


@pytest.fixture
def image() -> Iterator[Image]:
    """The built image, read-only for NOBODY."""
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to other users
        root = Path(folder)
        root.chmod(0o755)
        image = Image(root)
        fill_context(root / "context")
        for name in ("app", "tmp"):
            os.chown(root / name, NOBODY, NOBODY)
        text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
        for line in text.splitlines():
            if line and not line.startswith("#"):
                image.follow(*line.split(maxsplit=1))
        subprocess.run(["chown", "-R", "root:root", root / "app"], check=True)
        yield image


def test_the_image_works_as_an_unprivileged_user(image: Image) -> None:
    assert image.user == NOBODY
    ports = [free_port(), free_port()]
    settings = {
        "SECRET_KEY": secrets.token_urlsafe(50),
        "DATABASE_URL": f"sqlite:///{image.root}/data/vestnik.sqlite3",
        "PORT": str(ports[0]),
        "GATEWAY_URL": f"http://127.0.0.1:{ports[1]}/v1",
    }
    image.environment = {**image.environment, **settings}
    image.run("python", "manage.py", "migrate")
    assert "No planned" not in image.run("python", "manage.py", "migrate", "--check")
    sandbox = image.process("python", "manage.py", "sandbox", "--port", str(ports[1]))
    address = f"http://127.0.0.1:{ports[0]}"
    with sandbox, image.process(*image.command) as web, image.process("python", "manage.py", "worker") as worker:
        wait_for(lambda: "Listening at" in web.read_text(), "the web process", 60)
        wait_for(lambda: requests.get(f"{address}/readyz", timeout=9).ok, "a live worker", 60)
        image.run(*image.health)
        page = requests.get(f"{address}/accounts/login/", headers={"Accept-Language": "ru"}, timeout=9)
        assert "Войти" in page.text
        (sheet,) = re.findall(r'href="(/static/css/vestnik\.\w+\.css)"', page.text)
        assert requests.get(address + sheet, timeout=9).headers["Content-Encoding"] in {"br", "gzip"}
    for log in (web, worker):
        assert "Traceback" not in log.read_text()
    mine = subprocess.run(
        ["find", image.root / "app", "-user", str(NOBODY)], check=True, capture_output=True, text=True
    )
    assert mine.stdout == ""
