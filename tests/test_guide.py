"""The programs in the API guide work as printed."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.stack import EMAIL, PASSWORD, Api, Stack

GUIDE = (Path(__file__).resolve().parent.parent / "docs" / "api.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)


def test_the_python_program_does_the_main_job(stack: Stack, api: Api) -> None:
    environment = {**os.environ, "VESTNIK": stack.url, "VESTNIK_EMAIL": EMAIL, "VESTNIK_PASSWORD": PASSWORD}
    done = subprocess.run(
        [sys.executable, "-c", blocks("python")[0]],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2\n" in done.stdout
    assert "79165550201 sent" in done.stdout


def test_the_shell_program_does_the_main_job(stack: Stack, api: Api) -> None:
    script = "set -e\n" + "\n".join(blocks("sh"))
    script = script.replace("http://localhost:8000", stack.url)
    script = script.replace("anna@example.org", EMAIL).replace("vestnik-demo", PASSWORD)
    done = subprocess.run(["bash", "-c", script], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"recipients": 1' in done.stdout
    assert json.dumps("Ольга, our shop in Омск is open.") in done.stdout
    assert '"detail"' not in done.stdout
    assert '"status": "pending"' in done.stdout
