"""Optimistic locking: refuse an edit that started from an older version of the row.

A version is a digest of the editable fields, so changes that the program makes to other fields do not affect it.
"""

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar

from django import forms
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db.models import Model
from django.http import HttpResponse
from django.utils.translation import gettext as _
from ninja import Field, Header

from accounts.audit_log import Step, history_of
from project.http.errors import Conflict

_VERSION_LENGTH: Final = 16
ANY: Final = "*"
R = TypeVar("R", bound=Model)
Version = Annotated[
    str,
    Field(
        max_length=100,
        description="The version that you edited; 409 if it has changed. Omit it to skip the check",
    ),
]
IfMatch = Annotated[
    str | None,
    Header(
        None,
        alias="If-Match",
        max_length=1000,
        description="The `ETag` of an earlier answer; 412 if the object has changed since",
    ),
]


class Stale(Conflict):
    """The row changed since the caller read it. `steps` are the recorded changes, newest first."""

    def __init__(self, row: Model, steps: list[Step]) -> None:
        super().__init__(_conflict_message(steps))
        self.row = row
        self.steps = steps


def version_of(row: Model, **known: Any) -> str:
    """Return the version of a row: a digest of the fields, sets or properties in the model's `VERSIONED`.

    `known` has values that need not be read again.
    """
    names: tuple[str, ...] = row.VERSIONED  # type: ignore[attr-defined]
    content = {name: known[name] if name in known else _field_value(row, name) for name in names}
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:_VERSION_LENGTH]


def check_version(row: Model, expected: str | None) -> None:
    """Raise `Stale` unless the locked row has the expected version. Without one, every version is accepted.

    `expected` comes from a form, or is one or more versions separated by commas.
    """
    if not expected or expected == ANY:
        return
    versions = [each.partition(".") for each in expected.split(",")]
    if version_of(row) not in (digest for digest, _separator, _opened in versions):
        raise Stale(row, _steps_since(row, versions[0][2]))


def expected(if_match: str | None, version: str | None) -> str | None:
    """Return the version that an API client expects: the list in If-Match (RFC 9110, 13.1.1), or else `version`."""
    if if_match is None:
        return version
    # A weak tag keeps its prefix, so it never matches.
    return ",".join(each.strip().removeprefix('"').removesuffix('"') for each in if_match.split(","))


def with_etag(response: HttpResponse, row: R) -> R:
    """Set the version as ETag of the response, and return the row."""
    response.headers["ETag"] = f'"{version_of(row)}"'
    return row


class VersionedForm(forms.BaseForm):
    """Mixin for forms that edit a row. The form sends back the version that it was opened with."""

    edited: Model | None = None
    stale: Stale | None = None

    @property
    def version(self) -> str:
        """Version and time (in seconds) that the form carries. After a conflict, the current version."""
        if self.edited is None:
            return ""
        return (not self.stale and self.opened) or f"{version_of(self.edited)}.{time.time():.3f}"

    @property
    def opened(self) -> str | None:
        """The version that the form was opened with, or None if it has none."""
        return str(self.data.get("version") or "") or None

    @contextmanager
    def refusals(self, conflict_field: str | None = None) -> Iterator[None]:
        """Run the saving of the form. If it is refused, show the reason in the form: a conflict beside that field."""
        try:
            yield
        except ValidationError as error:
            self.add_error(None, error)
        except Stale as error:
            self.show_conflict(error)
        except Conflict as error:
            self.add_error(conflict_field, str(error))

    def show_conflict(self, error: Stale) -> None:
        """Keep the input and show who changed what. The next save overwrites that change."""
        self.stale, self.edited = error, error.row


def _field_value(row: Model, name: str) -> Any:
    try:
        field = row._meta.get_field(name)
    except FieldDoesNotExist:
        return getattr(row, name)
    if field.many_to_many:
        return sorted(str(each) for each in getattr(row, name).all())
    value = field.to_python(field.value_from_object(row))  # type: ignore[union-attr]
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value


def _steps_since(row: Model, opened: str) -> list[Step]:
    """Return the changes recorded since that time, or the latest if the time is unknown or the record was late."""
    steps = history_of(row)
    try:
        since = datetime.fromtimestamp(float(opened), UTC)
    except (ValueError, OverflowError, OSError):
        return steps[:1]
    return [step for step in steps if step.at > since] or steps[:1]


def _conflict_message(steps: list[Step]) -> str:
    if not steps:
        return _("This was changed after you opened the page.")
    names = dict.fromkeys(str(step.by or _("System")) for step in steps)
    fields = dict.fromkeys(name for step in steps for name, _change in step.changes)
    message = _("This was changed after you opened the page, by %(names)s") % {"names": ", ".join(names)}
    return f"{message}: {', '.join(fields)}." if fields else f"{message}."
