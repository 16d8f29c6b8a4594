"""The JSON API: one NinjaAPI, the apps' routers, and the mapping of errors to answers."""

import inspect
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any, Final

import structlog
from django.core.exceptions import (
    NON_FIELD_ERRORS,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    ValidationError,
)
from django.core.signals import got_request_exception
from django.http import HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.utils.translation import gettext as _
from ninja import NinjaAPI
from ninja.errors import ValidationError as SchemaError
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation

from accounts.api import tokens, users
from accounts.api_access.tokens import TokenAuth, anyone
from accounts.audit_api import router as audit
from accounts.optimistic_locking import Stale
from accounts.webhooks.api import webhooks
from campaigns.api.callbacks import callbacks
from campaigns.api.campaigns import router as campaigns
from campaigns.api.gateways import router as gateways
from campaigns.api.incoming import router as inbound
from campaigns.api.messages import router as messages
from campaigns.api.prices import router as prices
from campaigns.api.timeline import router as timeline
from directory.api import contacts
from directory.audiences.api import router as audiences
from directory.bulk_actions.api import router as bulk_actions
from directory.exports.api import router as contact_export
from directory.imports.api import router as imports
from directory.suppression.api import router as suppressions
from directory.tags.api import router as tags
from project.http import failure_pages, openapi
from project.http.errors import Conflict, Invalid, TooManyRequests
from reports.api import stats
from reports.exports_api import router as message_export
from reports.reports_api import router as reports

log = structlog.get_logger("vestnik.api")

OPEN_BODY_SIZE: Final = 16 * 1024
"""Maximum bytes of a body in operations that need no token."""
MAX_ERRORS: Final = 10
"""Maximum invalid fields in one answer."""


class Api(NinjaAPI):
    """Names operations after their functions, because generated clients use these names."""

    _schema: OpenAPISchema | None = None

    def get_openapi_operation_id(self, operation: Operation) -> str:
        """Return the name without module: `create_contact`."""
        return operation.view_func.__name__

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        """Add what all operations share. Cached, because it takes a quarter of a second."""
        if self._schema is None:
            self._schema = openapi.describe(super().get_openapi_schema(**options))
        return self._schema


api = Api(
    title="Vestnik",
    version="1.0.0",
    description=openapi.ABOUT,
    auth=TokenAuth(),
    docs_url=None,
    openapi_url="/openapi.json",
    openapi_extra={"tags": openapi.TAGS},
    urls_namespace="api",
)


def strict(run: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Refuse unknown and repeated query parameters, because a misspelt filter would match everything.

    Also refuse bodies above `OPEN_BODY_SIZE` in operations without token, before parsing.
    """
    operation: Operation = inspect.unwrap(run).__self__
    known_parameters = {
        name
        for model in operation.models
        if model.__ninja_param_source__ == "query"
        for name in getattr(model, "__ninja_flatten_map__", model.model_fields)
    }

    open_body = anyone in operation.auth_callbacks and any(
        model.__ninja_param_source__ == "body" for model in operation.models
    )

    @wraps(run)
    def run_strictly(request: HttpRequest, **parameters: Any) -> HttpResponse:
        if open_body and int(request.META.get("CONTENT_LENGTH") or 0) > OPEN_BODY_SIZE:
            return api.on_exception(request, RequestDataTooBig(_("The request is too large: at most 16 KiB.")))
        if hasattr(operation.view_func, "any_query"):
            return run(request, **parameters)
        for name, values in sorted(request.GET.lists()):
            if name not in known_parameters:
                return api.on_exception(request, Invalid(["query", name], _("Unknown parameter.")))
            if len(values) > 1:
                return api.on_exception(request, Invalid(["query", name], _("This parameter is given more than once.")))
        return run(request, **parameters)

    return run_strictly


api.add_decorator(strict, mode="view")
api.add_router("/users", users)
api.add_router("/tokens", tokens)
# before `/contacts/{contact_id}`
api.add_router("/contacts/bulk-actions", bulk_actions)
api.add_router("/contacts/export", contact_export)
api.add_router("/contacts", contacts)
api.add_router("/contacts", timeline)
api.add_router("/imports", imports)
api.add_router("/tags", tags)
api.add_router("/audiences", audiences)
api.add_router("/suppressions", suppressions)
api.add_router("/campaigns", campaigns)
api.add_router("/campaigns", message_export)
api.add_router("/messages", messages)
api.add_router("/inbound", inbound)
api.add_router("/gateways", gateways)
api.add_router("/gateways", prices)
api.add_router("/stats", stats)
api.add_router("/reports", reports)
api.add_router("/audit", audit)
api.add_router("/webhooks", webhooks)
api.add_router("/callbacks", callbacks)


@api.exception_handler(ValidationError)
def invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """Report a rule broken in a service in ninja's format for schema errors."""
    fields = error.message_dict if hasattr(error, "error_dict") else {NON_FIELD_ERRORS: error.messages}
    detail = [
        {
            "type": "value_error",
            "loc": ["body"] + ([] if name == NON_FIELD_ERRORS else [name]),
            "msg": message,
        }
        for name, messages in fields.items()
        for message in messages
    ]
    return api.create_response(request, {"detail": detail}, status=422)


@api.exception_handler(SchemaError)
def malformed(request: HttpRequest, error: SchemaError) -> HttpResponse:
    """Report schema errors without the internal parameter name between `body` and the field."""
    detail = [
        {
            **item,
            **_better_message(item),
            "loc": [item["loc"][0], *item["loc"][2:]] if item["loc"][0] == "body" else item["loc"],
        }
        for item in error.errors[:MAX_ERRORS]
    ]
    return api.create_response(request, {"detail": detail}, status=422)


def _better_message(item: dict[str, Any]) -> dict[str, str]:
    """Return a better message than pydantic's "Value should have at most 200 items" for texts."""
    messages_by_type = {
        "too_long": _("Too long: at most %(max_length)d characters."),
        "too_short": _("Too short: at least %(min_length)d."),
    }
    if item["type"] in messages_by_type and item["ctx"]["field_type"] == "Value":
        return {"msg": messages_by_type[item["type"]] % item["ctx"]}
    return {}


@api.exception_handler(Invalid)
def invalid_part(request: HttpRequest, error: Invalid) -> HttpResponse:
    """Report an invalid header or an unknown parameter."""
    detail = [{"type": "value_error", "loc": error.place, "msg": str(error)}]
    return api.create_response(request, {"detail": detail}, status=422)


@api.exception_handler(Conflict)
def conflict(request: HttpRequest, error: Conflict) -> HttpResponse:
    """Report that the present state forbids the action."""
    return api.create_response(request, {"detail": str(error)}, status=409)


@api.exception_handler(Stale)
def stale(request: HttpRequest, error: Stale) -> HttpResponse:
    """Report a concurrent change: 412 for a request with If-Match (RFC 9110, 13.1.1), otherwise 409."""
    status = HTTPStatus.PRECONDITION_FAILED if "If-Match" in request.headers else HTTPStatus.CONFLICT
    return api.create_response(request, {"detail": str(error)}, status=status)


@api.exception_handler(TooManyRequests)
def too_many(request: HttpRequest, error: TooManyRequests) -> HttpResponse:
    """Report an exceeded rate limit."""
    response = api.create_response(request, {"detail": str(error)}, status=429)
    response["Retry-After"] = error.retry_after
    return response


@api.exception_handler(PermissionDenied)
def forbidden(request: HttpRequest, error: PermissionDenied) -> HttpResponse:
    """Report missing permission."""
    return api.create_response(request, {"detail": str(error) or "This is not yours."}, status=403)


@api.exception_handler(RequestDataTooBig)
def too_large(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    """Report a body above DATA_UPLOAD_MAX_MEMORY_SIZE, for which Django raises, or above our own limit."""
    raised_by_django = "DATA_UPLOAD_MAX_MEMORY_SIZE" in str(error)
    detail = _("The request is too large: at most 8 MB.") if raised_by_django else str(error)
    return api.create_response(request, {"detail": detail}, status=413)


@api.exception_handler(MultiPartParserError)
@api.exception_handler(SuspiciousOperation)
def unreadable_form(request: HttpRequest, error: Exception) -> HttpResponse:
    """Report a form that can't be parsed, or that has too many fields or files."""
    return api.create_response(request, {"detail": _("The form can’t be read.")}, status=400)


@api.exception_handler(Exception)
def internal_error(request: HttpRequest, error: Exception) -> HttpResponse:
    """Report an internal error: log it, and tell the caller what to give the administrator."""
    log.error("call failed", exc_info=error, method=request.method, path=request.path)
    got_request_exception.send(sender=Api, request=request)
    return failure_pages.with_status(
        error, api.create_response(request, {"detail": failure_pages.detail(error)}, status=500)
    )
