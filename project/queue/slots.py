"""Slots: all but two of a worker's processes may send, and one may deliver webhooks; one is always free.

A slot is a locked byte of an unnamed file, so the operating system frees it when its holder dies.
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
    """Kinds of long work."""

    DELIVER = auto()
    SEND = auto()


def slot_numbers(work: Work) -> range:
    """Return the slots for that work."""
    return range(1) if work == Work.DELIVER else range(1, max(2, settings.WORKERS - 1))


@cache
def shared_file() -> IO[bytes]:
    """Return the file of the slots. A worker opens it before it forks, so that its processes share it."""
    return tempfile.TemporaryFile()


@contextmanager
def slot(work: Work) -> Iterator[bool]:
    """Take a free slot for the block; yields whether there was one."""
    for number in slot_numbers(work):
        try:
            fcntl.lockf(shared_file(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
        except (BlockingIOError, PermissionError):  # depends on the system
            continue
        try:
            yield True
        finally:
            fcntl.lockf(shared_file(), fcntl.LOCK_UN, 1, number)
        return
    yield False
