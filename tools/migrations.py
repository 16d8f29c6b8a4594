"""Whether new migrations are safe while the code of the release before still runs: `python -m tools.migrations`.

An upgrade migrates first and then starts the new code (docs/operations.md), so for a while old code meets the new
tables. It inserts rows without the new columns, and reads and writes those that are gone or mean something else. Names
each operation that breaks it; exits 1 if there is any.
"""

import os
import sys
from collections.abc import Iterator

import django
from django.db.migrations import (
    AddField,
    AddIndex,
    AlterField,
    DeleteModel,
    RemoveField,
    RenameField,
    RenameModel,
    RunPython,
    RunSQL,
)
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.models import Field, GeneratedField, ManyToManyField
from django.db.models.fields import NOT_PROVIDED

from project.sql import IndexAlongside

APPS = ("accounts", "webhooks", "directory", "campaigns", "reports")

RELEASED = {"accounts": "0004", "webhooks": "0001", "directory": "0005", "campaigns": "0007", "reports": "0001"}
"""The last migration of each app that no upgrade has to bear any more."""

LARGE = frozenset({"attempt", "contact", "message"})
"""Models with millions of rows."""

BEARABLE: dict[tuple[str, str], str] = {
    ("webhooks", "0002_sealed_secrets"): "an old courier signs with the sealed secret: receivers refuse, and it is "
    "repeated by the new code; only a webhook that is added in between has to be added again",
}
"""Migrations that old code can bear all the same, by app and name, with the reason."""


def main() -> None:
    """Look at all migrations after RELEASED."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    django.setup()
    found = list(problems())
    print("\n".join(found), end="\n" if found else "")
    sys.exit(bool(found))


def problems() -> Iterator[str]:
    """One line for each operation that old code can't bear."""
    loader = MigrationLoader(None)
    for app, name in sorted(loader.disk_migrations):
        if app not in APPS or name[:4] <= RELEASED[app] or (app, name) in BEARABLE:
            continue
        migration, state = loader.disk_migrations[app, name], loader.project_state((app, name), at_end=False)
        for operation in migration.operations:
            reason = trouble(operation, app, state)
            if reason:
                yield f"{app} {name}: {operation.describe()}: {reason}"
            operation.state_forwards(app, state)


def trouble(operation: Operation, app: str, before: ProjectState) -> str:
    """What becomes of code that does not know of the operation, or nothing."""
    match operation:
        case AddField(field=field) if demands_a_value(field):
            return "old code inserts rows without it: give it a db_default, or null=True"
        case AlterField(field=field, model_name=model, name=name) if demands_a_value(field):
            if before.models[app, model.lower()].fields[name].null:
                return "old code may insert NULL: tighten it a release later"
        case RemoveField() | DeleteModel() | RenameField() | RenameModel():
            return "old code still uses it: take it out of the code now, out of the database a release later"
        case AddIndex(model_name=model) if model.lower() in LARGE and not isinstance(operation, IndexAlongside):
            return "old code can't write to that table until it is built: use project.sql.IndexAlongside"
        case RunPython() | RunSQL():
            return "say in BEARABLE why old code can bear it"
    return ""


def demands_a_value(field: "Field[object, object]") -> bool:
    """Whether an INSERT that does not name this column fails."""
    filled = isinstance(field, GeneratedField | ManyToManyField) or field.db_default is not NOT_PROVIDED
    return not (field.null or filled)


if __name__ == "__main__":
    main()
