"""Sender slots: at most all but one of a cluster's workers send, so that one is always free for everything else.

A slot is a locked byte of a file without a name, so the operating system frees it however its holder dies.
"""

import fcntl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import IO

from django.conf import settings


def slots() -> int:
    """How many of this cluster's workers may send at the same time."""
    return max(1, settings.WORKERS - 1)


@cache
def shared_file() -> IO[bytes]:
    """The file of the slots. A worker's tree opens it before it forks, so that all its processes have the same."""
    return tempfile.TemporaryFile()


@contextmanager
def slot() -> Iterator[bool]:
    """Take a free slot for the length of the block, and tell whether there was one."""
    for number in range(slots()):
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
