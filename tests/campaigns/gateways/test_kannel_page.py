"""The Kannel configuration in docs/gateways.md, unchanged, with an SMPP message centre."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from campaigns.gateways.drivers.kannel import Kannel
from campaigns.gateways.protocol import Answer, Verdict
from campaigns.text import measure
from tests.campaigns.gateways import smpp
from tests.campaigns.gateways.kannel_server import MISSING, free_ports, listens
from tests.stack import ROOT, wait_for

pytestmark = pytest.mark.skipif(MISSING, reason="needs Debian's packages kannel, kannel-extras")
TEXTS = [
    "Hello",
    "Привет, Анна!",
    "x" * 160,
    "x" * 161,
    "x" * 1530,
    "€" * 80,
    "€" * 760,
    "[" * 77 + "x" + "€" * 300,
    "ж" * 70,
    "ж" * 71,
    "ж" * 670,
    "😀" * 35,
    "x😀" * 220,
    "😀" * 330,
]


class Boxes:
    """bearerbox and smsbox with the documented configuration; only host-specific names are replaced."""

    def __init__(self, folder: Path, centre: smpp.Centre) -> None:
        (page,) = re.findall(r"```kannel\n(.*?)```", (ROOT / "docs" / "gateways.md").read_text(), re.DOTALL)
        self.admin, self.box, self.send = free_ports(3)
        for shown, here in {
            "smpp.example.org": "127.0.0.1",
            "port = 2775": f"port = {centre.port}",
            "13000": str(self.admin),
            "13001": str(self.box),
            "13013": str(self.send),
            "/var/log/kannel": str(folder),
            "/var/spool/kannel": str(folder / "spool"),
        }.items():
            assert shown in page
            page = page.replace(shown, here)
        (folder / "spool").mkdir()
        (folder / "kannel.conf").write_text(page)
        self.folder = folder

    def start(self, program: str) -> "subprocess.Popen[bytes]":
        """Start one of the two programs."""
        with (self.folder / f"{program}.log").open("ab") as log:
            return subprocess.Popen([program, "kannel.conf"], cwd=self.folder, stdout=log, stderr=log)


@pytest.fixture
def centre() -> Iterator[smpp.Centre]:
    with smpp.Centre() as running:
        yield running
        running.shutdown()


@pytest.fixture
def gateway(tmp_path: Path, centre: smpp.Centre) -> Iterator[Kannel]:
    """Vestnik's driver for a Kannel configured as documented."""
    boxes = Boxes(tmp_path, centre)
    processes = [boxes.start("bearerbox")]
    try:
        wait_for(lambda: listens(boxes.box), "bearerbox")
        processes.append(boxes.start("smsbox"))
        wait_for(lambda: listens(boxes.send), "smsbox")
        yield Kannel(f"http://127.0.0.1:{boxes.send}", "vestnik", "a-long-one", "http://127.0.0.1:9/callback?key=k")
    finally:
        for process in reversed(processes):
            process.kill()  # smsbox would wait for receipts to be accepted
            process.wait()


def test_every_permitted_text_arrives_complete(gateway: Kannel, centre: smpp.Centre) -> None:
    for number, text in enumerate(TEXTS):
        assert measure(text).parts <= (gateway.max_parts or 0)
        answer = requests.get(gateway.build(number + 1, 79990000000 + number, text).url, timeout=10)
        assert gateway.parse(Answer(status=answer.status_code, body=answer.content)).verdict == Verdict.SENT
    wait_for(lambda: len(centre.texts()) == len(TEXTS), "all texts")
    assert sorted(centre.texts()) == sorted(TEXTS)
    assert {len(parts) for parts in centre.parts.values()} >= {1, 2, 10}
