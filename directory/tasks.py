"""The hints that django-q2 carries for the directory."""

from directory.imports.work import import_advance
from project import queue
from project.queue import lasting


@lasting
def work_on_import(import_id: int) -> None:
    """An import may have something to do."""
    import_advance(import_id, lambda: bool(queue.stopping.value))
