"""`make run`: all processes of the Procfile. Ctrl-C, SIGTERM or a closed terminal stops them."""

import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

from honcho.environ import parse_procfile
from honcho.manager import Manager

from project.settings import PORT

ROOT = Path(__file__).resolve().parent.parent
SANDBOX_PORT = 8090
STOPPED = (128 + signal.SIGINT, 128 + signal.SIGTERM)


def main() -> None:
    """Run until one process ends or a stop is requested."""
    for port, advice in ((PORT, "set PORT to another"), (SANDBOX_PORT, "the sandbox gateway needs it")):
        if port_in_use(port):
            sys.exit(f"Port {port} is in use: {advice}, or stop what listens there.")
    manager = Manager()
    for name, command in parse_procfile((ROOT / "Procfile").read_text()).processes.items():
        manager.add_process(name, command, env={**os.environ, "PORT": str(PORT)}, cwd=ROOT)
    signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    threading.Thread(target=stop_with_make, args=(os.getppid(),), daemon=True).start()
    manager.loop()
    sys.exit(0 if manager.returncode in STOPPED else manager.returncode)


def port_in_use(port: int) -> bool:
    """Whether another process listens on that port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def stop_with_make(parent: int) -> None:
    """Forward a SIGINT that only make received: unlike SIGTERM, make does not forward it, and waits for this process.

    Make has received it once it no longer handles the signal (visible on Linux only).
    """
    if not catches_interrupt(parent):
        return
    while catches_interrupt(parent):
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGINT)


def catches_interrupt(process: int) -> bool:
    """Whether that process is a make that handles SIGINT."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return False
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    return status["Name"] == "make" and bool(int(status["SigCgt"], 16) >> (signal.SIGINT - 1) & 1)


if __name__ == "__main__":
    main()
