"""What `make check` refuses in new migrations."""

from typing import Any

import pytest
from django.db import models
from django.db.migrations import AddField, AddIndex, AlterField, RemoveField, RunPython
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState

from project.sql import IndexAlongside
from tools.migrations import problems, trouble

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
        (RunPython(RunPython.noop), "say in BEARABLE"),
        (AddIndex("message", INDEX), "old code can't write to that table until it is built"),
        (IndexAlongside("message", INDEX), ""),
        (AddIndex("run", INDEX), ""),
    ],
)
def test_what_old_code_cannot_bear_is_named(operation: Operation, reason: str) -> None:
    before = ProjectState()
    fields: list[tuple[str, models.Field[Any, Any]]] = [
        ("name", TEXT),
        ("may_be_null", models.CharField(max_length=9, null=True)),
    ]
    before.add_model(ModelState("campaigns", "Run", fields))
    assert trouble(operation, "campaigns", before).partition(":")[0].startswith(reason)
    assert bool(trouble(operation, "campaigns", before)) == bool(reason)


def test_there_is_none_now() -> None:
    assert list(problems()) == []
