"""Requirements of the browser tests: Playwright's driver, and a browser, which is installed if possible."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
DRIVER_LIBRARY = "libatomic1"
"""The package of a library that Playwright's Node.js needs and a minimal Debian lacks."""


def driver_runs() -> bool:
    """Whether Playwright's Node.js runs on this system."""
    command = [sys.executable, "-m", "playwright", "--version"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def find() -> str | None:
    """Return the path of Chromium or Chrome: from the PATH, or Playwright's own; None if there is none."""
    on_path = next(filter(None, map(shutil.which, NAMES)), None)
    if on_path:
        return on_path
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


def can_sandbox(path: str) -> bool:
    """Whether it starts within its own sandbox: not as root, nor where the kernel or a container keeps it from that."""
    if os.geteuid() == 0:
        return False
    command = [path, "--headless", "--disable-gpu", "--dump-dom", "about:blank"]
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def may_install() -> bool:
    """Whether system packages can be installed: as root, with apt."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install_package(name: str) -> None:
    """Install a system package without prompts."""
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", name]
    for command in (["apt-get", "update", "-qq"], install):
        subprocess.run(command, env=quiet, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)


def install() -> str | None:
    """Install a browser: the system's package if possible, otherwise Playwright's own."""
    if may_install():
        install_package("chromium")
    else:
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], stdout=sys.stderr, check=False)
    return find()


def main() -> None:
    """Print the browser's path, or exit with what to install."""
    if not driver_runs() and may_install():
        install_package(DRIVER_LIBRARY)
    if not driver_runs():
        sys.exit(f"The tests' browser driver does not run: install {DRIVER_LIBRARY} (Debian, Ubuntu), or libatomic.")
    path = find() or install()
    if path is None:
        sys.exit("No browser for the tests: install Chromium or Chrome, or put one on the PATH.")
    print(path)


if __name__ == "__main__":
    main()
