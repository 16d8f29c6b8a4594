"""A temporary database for benchmarks, on the server of DATABASE_URL or as a file."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg2


@contextmanager
def database() -> Iterator[None]:
    """Set it in the environment, for all processes that are started."""
    os.environ.update({"DJANGO_SETTINGS_MODULE": "project.settings", "SECRET_KEY": "bench-only-" + "k" * 50})
    os.environ.setdefault("LOG_LEVEL", "WARNING")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DATA_DIR"] = folder
        url = os.environ.get("DATABASE_URL", "")
        if not url.startswith("postgres"):
            yield
            return
        name = f"{urlsplit(url).path.strip('/')}_bench"
        os.environ["DATABASE_URL"] = urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
        _execute(url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', f'CREATE DATABASE "{name}"')
        try:
            yield
        finally:
            _execute(url, f'DROP DATABASE "{name}" WITH (FORCE)')


def _execute(url: str, *statements: str) -> None:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    connection.close()
