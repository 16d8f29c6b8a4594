"""The configuration of gunicorn, which reads this file when started in this folder."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from project.observability.logs import logging_config
from project.settings import LOGGING, PORT, WEB_CONCURRENCY

bind = f"0.0.0.0:{PORT}"
workers = WEB_CONCURRENCY
worker_class = "project.http.server.WaitressWorker"
threads = 8
# Loaded once, before the workers: a bad setting stops the start instead of each new worker in turn.
preload_app = True
timeout = 60
graceful_timeout = 4  # seconds for requests in flight when stopped; the longest page takes less
max_requests = 20_000
max_requests_jitter = 2_000
control_socket_disable = True
logconfig_dict = logging_config(LOGGING)


def when_ready(server: Any) -> None:
    """Log the start, and refuse settings that can't work. Django is set up, and no worker is forked yet."""
    from django.db import connection  # noqa: PLC0415

    from project import startup  # noqa: PLC0415
    from project.http.server import MAX_CONNECTIONS  # noqa: PLC0415

    startup.announce("web")
    startup.refuse_transaction_pooling()
    startup.raise_file_limit(2 * MAX_CONNECTIONS)
    connection.close()  # a connection belongs to one process


def worker_exit(server: Any, worker: Any) -> None:
    """Flush the process's metrics."""
    from project.observability.metrics.meters import flush  # noqa: PLC0415 - Django is set up by now

    flush()
