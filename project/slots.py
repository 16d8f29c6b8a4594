"""Slots: of a cluster's workers all but two may send, and one may deliver webhooks, so that one is always free.

A slot is a locked byte of a file without a name, so the operating system frees it however its holder dies.
"""

import fcntl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto
from functools import cache
from typing import IO

from django.conf import settings


class Work(Enum):
    """What keeps a worker busy for long."""

    DELIVER = auto()
    SEND = auto()


def places(work: Work) -> range:
    """The slots of this cluster's workers for that work."""
    return range(1) if work == Work.DELIVER else range(1, max(2, settings.WORKERS - 1))


@cache
def shared_file() -> IO[bytes]:
    """The file of the slots. A worker's tree opens it before it forks, so that all its processes have the same."""
    return tempfile.TemporaryFile()


@contextmanager
def slot(work: Work) -> Iterator[bool]:
    """Take a free slot for the length of the block, and tell whether there was one."""
    for number in places(work):
        try:
            fcntl.lockf(shared_file(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
        except (BlockingIOError, PermissionError):  # which of the two, depends on the system
            continue
        try:
            yield True
        finally:
            fcntl.lockf(shared_file(), fcntl.LOCK_UN, 1, number)
        return
    yield False
