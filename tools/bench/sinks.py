"""Gateways for the benchmarks: nginx, which costs almost nothing, or our own, which can be slow."""

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log stderr crit;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 1000000000; client_body_temp_path {folder}; proxy_temp_path {folder};
  fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{
    listen 127.0.0.1:{port} backlog=4096; default_type application/json;
    location /provider {{ return 201 '{{"message": {{"id": "$request_id"}}}}'; }}
    location / {{ return 200 '{{"code": 0, "message": "OK"}}'; }}
  }}
}}
"""


@contextmanager
def fast() -> Iterator[str]:
    """Run the fastest gateway that this machine has; yields its base URL."""
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if nginx is None:
        print("There is no nginx: a gateway in Python takes its place, and is itself the limit.", file=sys.stderr)
        with slow(0) as url:
            yield url
        return
    with tempfile.TemporaryDirectory() as folder:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        file = Path(folder) / "nginx.conf"
        file.write_text(_NGINX.format(folder=folder, port=port))
        with _running([nginx, "-c", str(file)]):
            _wait_for(port)
            yield f"http://127.0.0.1:{port}/v1"


@contextmanager
def slow(delay: float) -> Iterator[str]:
    """Run a gateway that answers after `delay` seconds; yields its base URL."""
    with _running([sys.executable, "-m", "tools.bench.slow", str(delay)]) as process:
        assert process.stdout
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"


@contextmanager
def _running(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
