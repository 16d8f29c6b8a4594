"""`/audit` of the JSON API."""

from datetime import datetime
from typing import Any, Final, Literal

from auditlog.models import LogEntry
from django.core.exceptions import PermissionDenied
from django.utils.translation import gettext as _
from ninja import Field, Query, Router, Schema

from project.http.body import AwareMoment, Error, Line
from project.http.client import UserRequest
from project.http.paging import ListQuery, Page, keyset, page_of

router = Router(tags=["audit"])

_MODELS: Final = {
    "audience": "savedaudience",
    **{name: name for name in ("campaign", "contact", "gateway", "tag", "user")},
}
_OBJECTS: Final = {model: name for name, model in _MODELS.items()}
_ACTIONS: Final = {
    "created": LogEntry.Action.CREATE,
    "changed": LogEntry.Action.UPDATE,
    "deleted": LogEntry.Action.DELETE,
}
_ACTION_NAMES: Final = {action: name for name, action in _ACTIONS.items()}


class AuditQuery(ListQuery):
    """Filters of the list. All given filters must match."""

    by: int | None = Field(None, ge=1, le=2**63 - 1, description="Id of the user who made the changes")
    object: Literal["audience", "campaign", "contact", "gateway", "tag", "user"] | None = Field(
        None, description="Kind of the changed objects"
    )
    object_id: Line | None = Field(None, max_length=100, description="Id of the changed object; of a gateway, its name")
    action: Literal["created", "changed", "deleted"] | None = Field(None, description="What was done")
    since: AwareMoment | None = Field(None, description="At this time or later")
    before: AwareMoment | None = Field(None, description="Before this time")


class AuditEntry(Schema):
    """A change of one object by one user at one moment."""

    id: int
    at: datetime = Field(description="When it was changed")
    by: int | None = Field(description="Id of the user; null: the program")
    object: str = Field(description="Kind of the object", examples=["campaign"])
    object_id: str = Field(description="Id of the object; of a gateway, its name", examples=["12"])
    action: str = Field(description="`created`, `changed` or `deleted`")
    changes: dict[str, dict[str, Any]] = Field(
        description="Fields with `old` and `new`; sets, such as tags, with `added` or `removed`",
        examples=[{"name": {"old": "Sale", "new": "Autumn sale"}}],
    )


def entry_out(entry: LogEntry) -> dict[str, Any]:
    """Return the values of `AuditEntry`."""
    model = entry.content_type.model
    return {
        "id": entry.pk,
        "at": entry.timestamp,
        "by": entry.actor_id,
        "object": _OBJECTS.get(model, model),
        "object_id": entry.object_pk,
        "action": _ACTION_NAMES.get(entry.action, ""),
        "changes": {name: _change_out(change) for name, change in (entry.changes or {}).items()},
    }


def _change_out(change: Any) -> dict[str, Any]:
    if isinstance(change, dict):
        return {"added" if change["operation"] == "add" else "removed": change["objects"]}
    old, new = change
    return {"old": old, "new": new}


@router.get("", response={200: Page[AuditEntry], frozenset({401, 403, 422}): Error}, summary="List changes")
def list_changes(request: UserRequest, query: Query[AuditQuery]) -> dict[str, Any]:
    """Who changed what, newest first. Administrators only. Secrets are not recorded."""
    if not request.user.is_staff:
        raise PermissionDenied(_("Only administrators can view the audit log."))
    conditions = {
        "actor": query.by,
        "content_type__model": query.object and _MODELS[query.object],
        "object_pk": query.object_id,
        "action": query.action and _ACTIONS[query.action],
        "timestamp__gte": query.since,
        "timestamp__lt": query.before,
    }
    given = {name: value for name, value in conditions.items() if value is not None}
    entries = LogEntry.objects.filter(**given).select_related("content_type")
    return page_of(keyset(entries, query.cursor, query.limit), entry_out)
