"""The hints that django-q2 carries: each takes an id at most, and calls one service."""

from directory.bulk import bulk_work
from directory.imports.work import import_advance
from project import queue
from project.queue import lasting


@lasting
def bulk(action_id: int) -> None:
    """A bulk action has something to do."""
    bulk_work(action_id)


@lasting
def work_on_import(import_id: int) -> None:
    """An import may have something to do."""
    import_advance(import_id, lambda: bool(queue.stopping.value))
