"""How gunicorn serves the web process, wherever it is started: in this folder it reads this file by itself."""

import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from project.logs import logging_config
from project.settings import LOGGING, PORT

bind = f"0.0.0.0:{PORT}"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "project.web.PatientWorker"
threads = 8
# Loaded once, before the workers: a bad setting stops the start instead of each new worker in turn.
preload_app = True
timeout = 60
graceful_timeout = 4  # seconds for requests in flight when stopped; the longest page takes less
max_requests = 20_000
max_requests_jitter = 2_000
control_socket_disable = True
logconfig_dict = logging_config(LOGGING)


def worker_exit(server: Any, worker: Any) -> None:
    """What the process has measured is not lost with it."""
    from measures.meters import flush  # noqa: PLC0415 - Django is set up by now

    flush()
