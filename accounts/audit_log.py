"""The audit log: who changed what. django-auditlog stores the entries; this module adds the actor and reads them.

django-auditlog records single changes of registered models on save. Changes of many rows by `QuerySet.update` are
recorded by `record` in one more statement. Automatic changes of many rows are not recorded.
"""

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

import structlog
from auditlog.models import LogEntry
from auditlog.signals import post_log
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import BooleanField, Model
from django.db.models.signals import pre_save
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from accounts.models import User
from project.observability.logs import log_each

changes_log = structlog.get_logger("vestnik.changes")
MAX_STEPS: Final = 30
_request: ContextVar[HttpRequest | None] = ContextVar("request", default=None)


class Change(NamedTuple):
    """The values of a field before and after a change."""

    old: Any
    new: Any


@dataclass(frozen=True)
class Step:
    """A change by one user at one moment; of the set `set_name`, such as tags, the names that were added and removed.

    `by` is None for changes that the program made.
    """

    at: datetime
    by: User | None
    created: bool
    changes: list[tuple[str, Change]]
    added: list[str]
    removed: list[str]
    set_name: str = ""


class RecordedRequestMiddleware:
    """Keep the request for `LogEntry`. Its user is known early with a session, and late with an API token."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        token = _request.set(request)
        try:
            return self.get_response(request)
        finally:
            _request.reset(token)


@receiver(pre_save, sender=LogEntry)
def _set_actor(instance: LogEntry, **_kwargs: Any) -> None:
    """Set the actor of an entry."""
    user = getattr(_request.get(), "user", None)
    if instance.actor_id is None and isinstance(user, User):
        instance.actor, instance.actor_email = user, user.email


def record(model: type[Model], ids: Iterable[int | str], by: User | None, changes: dict[str, Any]) -> None:
    """Record the same change of many rows: fields map to `Change`, sets to the result of `set_change`."""
    kind, rows = ContentType.objects.get_for_model(model), list(ids)
    logged = {
        name: list(map(str, change)) if isinstance(change, Change) else change for name, change in changes.items()
    }
    LogEntry.objects.bulk_create(
        LogEntry(
            content_type=kind,
            object_pk=str(pk),
            object_id=pk if isinstance(pk, int) else None,
            object_repr="",
            action=LogEntry.Action.UPDATE,
            changes=logged,
            actor=by,
            actor_email=by and by.email,
        )
        for pk in rows
    )
    common = {"fields": sorted(changes), "user": by and by.pk}
    lines = [{str(model._meta.model_name): pk, **common} for pk in rows]
    transaction.on_commit(lambda: log_each("vestnik.changes", "changed", lines))


@receiver(post_log)
def _log_change(instance: Model, action: int, changes: dict[str, Any] | None, **_signal: Any) -> None:
    """Log a change of one row: field names, and only the value of the status."""
    logged = {str(instance._meta.model_name): instance.pk}
    if action == LogEntry.Action.UPDATE and changes:
        logged["fields"] = sorted(changes)
    if changes and "status" in changes:
        logged["status"] = changes["status"][1]
    event = "created" if action == LogEntry.Action.CREATE else "changed"
    transaction.on_commit(lambda: changes_log.info(event, **logged))


def set_change(operation: str, names: Iterable[str]) -> dict[str, Any]:
    """Describe the addition or removal (`add`, `delete`) of names in django-auditlog's format."""
    return {"type": "m2m", "operation": operation, "objects": list(names)}


def history_of(row: Model) -> list[Step]:
    """Return the latest changes of a row, newest first."""
    entries = LogEntry.objects.get_for_object(row).select_related("actor").order_by("-timestamp", "-pk")
    return [_step(row, entry) for entry in entries[:MAX_STEPS]]


def _step(row: Model, entry: LogEntry) -> Step:
    sets = {name: change for name, change in entry.changes.items() if isinstance(change, dict)}
    fields = {name: change for name, change in entry.changes.items() if isinstance(change, list)}
    words: dict[str, Callable[[Any], Any]] = getattr(row, "RECORDED_WORDS", {})
    return Step(
        at=entry.timestamp,
        by=entry.actor,
        created=entry.action == LogEntry.Action.CREATE,
        changes=[
            _labelled_change(row._meta.get_field(name), change, words.get(name)) for name, change in fields.items()
        ],
        added=[name for change in sets.values() if change["operation"] == "add" for name in change["objects"]],
        removed=[name for change in sets.values() if change["operation"] == "delete" for name in change["objects"]],
        set_name=next(iter(sets), ""),
    )


def _labelled_change(field: Any, change: list[str], words: Callable[[Any], Any] | None = None) -> tuple[str, Change]:
    """Return a field's label and its values as people read them; `words` formats the values of special fields."""
    labels = dict(field.flatchoices)
    if isinstance(field, BooleanField):
        labels = {"True": _("yes"), "False": _("no")}
    return str(field.verbose_name), Change(*((words or _readable)(labels.get(value, value)) for value in change))


def _readable(value: Any) -> Any:
    """Format a value: None as an empty string, whole numbers without a fraction."""
    text = str(value)
    return "" if text == "None" else text.removesuffix(".0") if text.removesuffix(".0").isdecimal() else value
