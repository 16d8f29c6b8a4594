"""Sender slots: at most all but one of a cluster's workers send, so that one is always free for everything else.

A slot is a file lock, so the operating system frees it however its holder dies.
"""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from project.queue import WORKER_VARIABLE


def slots() -> int:
    """How many of this cluster's workers may send at the same time."""
    return max(1, settings.WORKERS - 1)


@contextmanager
def slot() -> Iterator[bool]:
    """Take a free slot for the length of the block, and tell whether there was one."""
    for number in range(slots()):
        path = Path(tempfile.gettempdir()) / f"vestnik-sender-{os.environ.get(WORKER_VARIABLE, 'alone')}-{number}.lock"
        with path.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield True
            return
    yield False
