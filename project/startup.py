"""Checks and messages when web and worker start: what runs, and which settings can't work."""

import os
import resource
from difflib import get_close_matches
from typing import Final

import structlog
from django.conf import settings
from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper

from campaigns.gateways.drivers import DRIVERS
from project.core.env import stop
from project.core.version import VERSION

log = structlog.get_logger("vestnik.startup")

SANDBOX_TOKEN: Final = "sandbox-token"  # noqa: S105 - the stand-in takes it from anyone
_OTHER_FILES: Final = 256
_FILES_PER_REQUEST: Final = 3
"""A socket for the request and, during the lookup of its host, two sockets for libcurl's resolver."""
_MIN_SIMILARITY: Final = 0.85
"""Names less similar than this are not considered misspelt (`difflib`, 0 to 1)."""


def announce(process: str) -> None:
    """Log what starts, with a warning for each setting that looks wrong."""
    log.info("starting", process=process, version=VERSION, database=connection.vendor, gateway=settings.GATEWAY)
    for name, known in misspelt_settings(os.environ).items():
        log.warning("unknown setting", name=name, did_you_mean=known)
    if not settings.DEBUG and sends_to_stand_in():
        log.warning("messages reach nobody: the gateway is a stand-in", gateway=settings.GATEWAY)


def misspelt_settings(names: "os._Environ[str] | dict[str, str]") -> dict[str, str]:
    """Return names in the environment that are similar to a setting but are none, with that setting."""
    suggestions: dict[str, str] = {}
    for name in names:
        base = name.removesuffix("_FILE")
        if base not in settings.SETTING_NAMES:
            for match in get_close_matches(base, settings.SETTING_NAMES, n=1, cutoff=_MIN_SIMILARITY):
                suggestions[name] = match
    return suggestions


def sends_to_stand_in() -> bool:
    """Whether the configured gateway is the sandbox or the console."""
    return DRIVERS[settings.GATEWAY].offline or settings.GATEWAY_TOKEN == SANDBOX_TOKEN


def raise_file_limit(needed: int) -> int:
    """Raise this process's limit of open files to `needed` if possible; return the limit (setrlimit(2))."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft == resource.RLIM_INFINITY or soft >= allowed:
        return soft if soft != resource.RLIM_INFINITY else needed
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    except OSError:  # a sandbox such as systemd's SystemCallFilter forbids it
        return soft
    return allowed


def require_files_for_requests(concurrency: int) -> None:
    """Stop the start unless this process may have `concurrency` requests in flight."""
    needed = _OTHER_FILES + _FILES_PER_REQUEST * concurrency
    allowed = raise_file_limit(needed)
    if allowed < needed:
        stop(
            f"GATEWAY_CONCURRENCY: {concurrency} requests at once need {needed} open files, and the system allows "
            f"{allowed} (ulimit -Hn; LimitNOFILE= in a systemd unit)."
        )


def refuse_transaction_pooling() -> None:
    """Stop the start behind a pooler that assigns sessions per transaction (PgBouncer: `pool_mode`).

    The locks that keep two workers from advancing one campaign belong to a session. Behind such a pooler, connections
    share sessions or change them.
    """
    if connection.vendor != "postgresql":
        return
    other = connection.copy()
    try:
        sessions = [_session_id(connection) for _ in range(3)]
        pooled = len(set(sessions)) > 1 or _session_id(other) in sessions
    except OperationalError as error:
        log.warning("database out of reach", error=str(error).strip())
        return
    finally:
        other.close()
    if pooled:
        stop("DATABASE_URL: A pooler that pools by transaction is in between; let it pool by session.")


def _session_id(database: BaseDatabaseWrapper) -> int:
    with database.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])
