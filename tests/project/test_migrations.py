"""The check of new migrations in `make check`."""

from typing import Any

import pytest
from django.db import models
from django.db.migrations import AddField, AddIndex, AlterField, RemoveField, RunPython
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState

from project.core.sql import IndexAlongside
from tools.migrations import problem_of, problems

INDEX = models.Index(fields=["id"], name="by_id")
TEXT = models.CharField(max_length=9)


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        (AddField("run", "note", models.CharField(max_length=9, default="")), "old code inserts rows without it"),
        (AddField("run", "note", models.CharField(max_length=9, db_default="")), ""),
        (AddField("run", "note", models.CharField(max_length=9, null=True)), ""),
        (AlterField("run", "may_be_null", TEXT), "old code may insert NULL"),
        (AlterField("run", "name", models.CharField(max_length=20)), ""),
        (RemoveField("run", "name"), "old code still uses it"),
        (RunPython(RunPython.noop), "say in ACCEPTED"),
        (AddIndex("message", INDEX), "old code can't write to that table until it is built"),
        (IndexAlongside("message", INDEX), ""),
        (AddIndex("run", INDEX), ""),
    ],
)
def test_migrations_that_break_old_code_are_named(operation: Operation, reason: str) -> None:
    before = ProjectState()
    fields: list[tuple[str, models.Field[Any, Any]]] = [
        ("name", TEXT),
        ("may_be_null", models.CharField(max_length=9, null=True)),
    ]
    before.add_model(ModelState("campaigns", "Run", fields))
    assert problem_of(operation, "campaigns", before).partition(":")[0].startswith(reason)
    assert bool(problem_of(operation, "campaigns", before)) == bool(reason)


def test_no_migration_breaks_old_code() -> None:
    assert list(problems()) == []
