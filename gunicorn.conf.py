"""How gunicorn serves the web process, wherever it is started: in this folder it reads this file by itself."""

import os
import sys
from pathlib import Path

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
