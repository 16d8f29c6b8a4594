"""Who changed what: the record that django-auditlog keeps, who it names, and how pages read it.

What people do to registered models one by one is recorded when it is saved. What is done to many rows at once, by
`QuerySet.update`, is recorded by `record` in one more statement, or not at all where it is no person's doing.
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
from project.logs import log_each

changes_log = structlog.get_logger("vestnik.changes")
SHOWN: Final = 30
_request: ContextVar[HttpRequest | None] = ContextVar("request", default=None)


class Change(NamedTuple):
    """A field's value before and after."""

    old: Any
    new: Any


@dataclass(frozen=True)
class Step:
    """What somebody changed at one moment; of a set (tags), what was added and what was removed.

    `by` is None where the program did it by itself.
    """

    at: datetime
    by: User | None
    created: bool
    changes: list[tuple[str, Change]]
    added: list[str]
    removed: list[str]


class RecordedRequestMiddleware:
    """Keep the request at hand for `LogEntry`: its user is known by session early, by token later."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        token = _request.set(request)
        try:
            return self.get_response(request)
        finally:
            _request.reset(token)


@receiver(pre_save, sender=LogEntry)
def _sign(instance: LogEntry, **_kwargs: Any) -> None:
    """Name who does it."""
    user = getattr(_request.get(), "user", None)
    if instance.actor_id is None and isinstance(user, User):
        instance.actor, instance.actor_email = user, user.email


def record(model: type[Model], ids: Iterable[int | str], by: User | None, changes: dict[str, Any]) -> None:
    """Record the same change of many rows: fields to `Change`, or a set's field to what `of_set` makes."""
    kind, rows = ContentType.objects.get_for_model(model), list(ids)
    told = {name: list(map(str, change)) if isinstance(change, Change) else change for name, change in changes.items()}
    LogEntry.objects.bulk_create(
        LogEntry(
            content_type=kind,
            object_pk=str(pk),
            object_id=pk if isinstance(pk, int) else None,
            object_repr="",
            action=LogEntry.Action.UPDATE,
            changes=told,
            actor=by,
            actor_email=by and by.email,
        )
        for pk in rows
    )
    same = {"fields": sorted(changes), "user": by and by.pk}
    lines = [{str(model._meta.model_name): pk, **same} for pk in rows]
    transaction.on_commit(lambda: log_each("vestnik.changes", "changed", lines))


@receiver(post_log)
def _tell(instance: Model, action: int, changes: dict[str, Any] | None, **_signal: Any) -> None:
    """Have the log say what was changed of one row: the fields' names, and of values only the state's."""
    told = {str(instance._meta.model_name): instance.pk}
    if action == LogEntry.Action.UPDATE and changes:
        told["fields"] = sorted(changes)
    if changes and "status" in changes:
        told["status"] = changes["status"][1]
    event = "created" if action == LogEntry.Action.CREATE else "changed"
    transaction.on_commit(lambda: changes_log.info(event, **told))


def of_set(operation: str, names: Iterable[str]) -> dict[str, Any]:
    """`add` or `delete` of those names, as django-auditlog writes it."""
    return {"type": "m2m", "operation": operation, "objects": list(names)}


def history_of(thing: Model) -> list[Step]:
    """The latest changes of a row, newest first."""
    entries = LogEntry.objects.get_for_object(thing).select_related("actor").order_by("-timestamp", "-pk")
    return [_step(thing, entry) for entry in entries[:SHOWN]]


def _step(thing: Model, entry: LogEntry) -> Step:
    sets = [change for change in entry.changes.values() if isinstance(change, dict)]
    fields = {name: change for name, change in entry.changes.items() if isinstance(change, list)}
    return Step(
        at=entry.timestamp,
        by=entry.actor,
        created=entry.action == LogEntry.Action.CREATE,
        changes=[_read(thing._meta.get_field(name), change) for name, change in fields.items()],
        added=[name for change in sets if change["operation"] == "add" for name in change["objects"]],
        removed=[name for change in sets if change["operation"] == "delete" for name in change["objects"]],
    )


def _read(field: Any, change: list[str]) -> tuple[str, Change]:
    """A field's name and its values as people read them, not as they are stored."""
    words = dict(field.flatchoices)
    if isinstance(field, BooleanField):
        words = {"True": _("yes"), "False": _("no")}
    return str(field.verbose_name), Change(*(words.get(value, value) for value in change))
