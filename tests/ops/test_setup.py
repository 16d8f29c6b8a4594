"""`make setup` on a host that is set up for production."""

import os
import subprocess

from tests.stack import ROOT


def test_static_files_are_collected_for_any_host_name() -> None:
    dry_run = subprocess.run(
        ["make", "-nB", "build/static/staticfiles.json"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    (command,) = [line for line in dry_run.stdout.splitlines() if "collectstatic" in line]
    environment = {**os.environ, "DEBUG": "0", "PUBLIC_URL": "https://sms.example.org"}
    done = subprocess.run(
        f"{command} --dry-run", shell=True, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
