"""`make run`: the processes of the Procfile side by side. Ctrl-C, SIGTERM or a closed terminal stops them all."""

import os
import signal
import socket
import sys
from pathlib import Path

from honcho.environ import parse_procfile
from honcho.manager import Manager

from project.settings import PORT

ROOT = Path(__file__).resolve().parent.parent
SANDBOX_PORT = 8090
STOPPED = (128 + signal.SIGINT, 128 + signal.SIGTERM)


def main() -> None:
    """Run until one process ends or somebody asks to stop."""
    for port, remedy in ((PORT, "set PORT to another"), (SANDBOX_PORT, "the sandbox gateway needs it")):
        if taken(port):
            sys.exit(f"Port {port} is in use: {remedy}, or stop what listens there.")
    manager = Manager()
    for name, command in parse_procfile((ROOT / "Procfile").read_text()).processes.items():
        manager.add_process(name, command, env={**os.environ, "PORT": str(PORT)}, cwd=ROOT)
    signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    manager.loop()
    sys.exit(0 if manager.returncode in STOPPED else manager.returncode)


def taken(port: int) -> bool:
    """Whether another process listens on that port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    main()
