"""The names under which queues carry the tasks of this app."""

from directory.bulk_actions.work import bulk
from directory.imports.work import work_on_import

__all__ = ["bulk", "work_on_import"]
