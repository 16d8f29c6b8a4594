"""Check that new migrations are safe for the previous release: `python -m tools.migrations`.

An upgrade migrates first and then starts the new code (docs/operations.md), so for a while old code uses the new
tables. It inserts rows without the new columns, and uses columns that were removed or changed. Prints each operation
that breaks it, and exits with 1 if there is any.
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

from project.core.sql import IndexAlongside

APPS = ("accounts", "webhooks", "directory", "campaigns", "reports")

RELEASED = {"accounts": "0004", "webhooks": "0001", "directory": "0005", "campaigns": "0007", "reports": "0001"}
"""The last migration of each app that is part of a release."""

LARGE = frozenset({"attempt", "contact", "message", "providerid"})
"""Models with millions of rows."""

ACCEPTED: dict[tuple[str, str], str] = {
    ("webhooks", "0002_sealed_secrets"): "an old dispatcher signs with the sealed secret: receivers refuse, and it is "
    "repeated by the new code; only a webhook that is added in between has to be added again",
}
"""Migrations that the previous release tolerates nevertheless, by app and name, with the reason."""


def main() -> None:
    """Check all migrations after RELEASED."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    django.setup()
    found = list(problems())
    print("\n".join(found), end="\n" if found else "")
    sys.exit(bool(found))


def problems() -> Iterator[str]:
    """Yield one line for each operation that breaks the previous release."""
    loader = MigrationLoader(None)
    for app, name in sorted(loader.disk_migrations):
        if app not in APPS or name[:4] <= RELEASED[app] or (app, name) in ACCEPTED:
            continue
        migration, state = loader.disk_migrations[app, name], loader.project_state((app, name), at_end=False)
        for operation in migration.operations:
            reason = problem_of(operation, app, state)
            if reason:
                yield f"{app} {name}: {operation.describe()}: {reason}"
            operation.state_forwards(app, state)


def problem_of(operation: Operation, app: str, before: ProjectState) -> str:  # noqa: PLR0911
    """Return how an operation breaks the previous release, or an empty string."""
    match operation:
        case AddField(field=field) if requires_a_value(field):
            return "old code inserts rows without it: give it a db_default, or null=True"
        case AlterField(field=field, model_name=model, name=name) if requires_a_value(field):
            if before.models[app, model.lower()].fields[name].null:
                return "old code may insert NULL: tighten it a release later"
        case RenameModel(old_name=name) if "db_table" in before.models[app, name.lower()].options:
            return ""  # the table keeps its name
        case RenameField(model_name=model, old_name=name) if before.models[app, model.lower()].fields[name].db_column:
            return ""  # the column keeps its name
        case RemoveField() | DeleteModel() | RenameField() | RenameModel():
            return "old code still uses it: take it out of the code now, out of the database a release later"
        case AddIndex(model_name=model) if model.lower() in LARGE and not isinstance(operation, IndexAlongside):
            return "old code can't write to that table until it is built: use project.core.sql.IndexAlongside"
        case RunPython() | RunSQL():
            return "say in ACCEPTED why old code tolerates it"
    return ""


def requires_a_value(field: "Field[object, object]") -> bool:
    """Whether an INSERT without this column fails."""
    filled = isinstance(field, GeneratedField | ManyToManyField) or field.db_default is not NOT_PROVIDED
    return not (field.null or filled)


if __name__ == "__main__":
    main()
