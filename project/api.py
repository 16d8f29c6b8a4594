"""The JSON API: one NinjaAPI, the routers of the apps, and every error mapped once."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

import structlog
from django.core.exceptions import NON_FIELD_ERRORS, PermissionDenied, RequestDataTooBig, ValidationError
from django.core.signals import got_request_exception
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from ninja import NinjaAPI
from ninja.errors import ValidationError as SchemaError
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation

from accounts.api import tokens, users
from accounts.auth import TokenAuth
from accounts.webhooks.api import webhooks
from campaigns.api import campaigns, messages
from campaigns.callbacks import callbacks
from directory.api import contacts
from project import failure, openapi
from project.http import Conflict, Invalid, TooManyRequests
from reports.api import stats

log = structlog.get_logger("vestnik.api")


class Api(NinjaAPI):
    """Operations are known by their function's name, which generated clients take over."""

    _described: OpenAPISchema | None = None

    def get_openapi_operation_id(self, operation: Operation) -> str:
        """No module in it: `create_contact`."""
        return operation.view_func.__name__

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        """With what every operation shares; it takes a quarter of a second to make, and is the same for everyone."""
        if self._described is None:
            self._described = openapi.describe(super().get_openapi_schema(**options))
        return self._described


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
    """Refuse query parameters that nobody knows: a filter that is misspelt would show everything."""
    operation: Operation = inspect.unwrap(run).__self__
    known = {
        name
        for model in operation.models
        if model.__ninja_param_source__ == "query"
        for name in getattr(model, "__ninja_flatten_map__", model.model_fields)
    }

    @wraps(run)
    def strictly(request: HttpRequest, **parameters: Any) -> HttpResponse:
        unknown = sorted(request.GET.keys() - known)
        if unknown and not hasattr(operation.view_func, "any_query"):
            return api.on_exception(request, Invalid(["query", unknown[0]], _("There is no such parameter.")))
        return run(request, **parameters)

    return strictly


api.add_decorator(strict, mode="view")
api.add_router("/users", users)
api.add_router("/tokens", tokens)
api.add_router("/contacts", contacts)
api.add_router("/campaigns", campaigns)
api.add_router("/messages", messages)
api.add_router("/stats", stats)
api.add_router("/webhooks", webhooks)
api.add_router("/callbacks", callbacks)


@api.exception_handler(ValidationError)
def invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """A broken rule of a service, in the form that ninja gives a broken schema."""
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
    """A broken schema; the name of our own parameter between `body` and the field tells the caller nothing."""
    detail = [
        {
            **item,
            **_worded(item),
            "loc": [item["loc"][0], *item["loc"][2:]] if item["loc"][0] == "body" else item["loc"],
        }
        for item in error.errors
    ]
    return api.create_response(request, {"detail": detail}, status=422)


def _worded(item: dict[str, Any]) -> dict[str, str]:
    """Of a text that we check beside its length pydantic would say "Value should have at most 200 items"."""
    words = {
        "too_long": _("Too long: at most %(max_length)d characters."),
        "too_short": _("Too short: at least %(min_length)d."),
    }
    if item["type"] in words and item["ctx"]["field_type"] == "Value":
        return {"msg": words[item["type"]] % item["ctx"]}
    return {}


@api.exception_handler(Invalid)
def invalid_part(request: HttpRequest, error: Invalid) -> HttpResponse:
    """A wrong header, or a parameter that nobody knows."""
    detail = [{"type": "value_error", "loc": error.place, "msg": str(error)}]
    return api.create_response(request, {"detail": detail}, status=422)


@api.exception_handler(Conflict)
def conflict(request: HttpRequest, error: Conflict) -> HttpResponse:
    """The state of things forbids it."""
    return api.create_response(request, {"detail": str(error)}, status=409)


@api.exception_handler(TooManyRequests)
def too_many(request: HttpRequest, error: TooManyRequests) -> HttpResponse:
    """A rate limit is used up."""
    response = api.create_response(request, {"detail": str(error)}, status=429)
    response["Retry-After"] = error.retry_after
    return response


@api.exception_handler(PermissionDenied)
def forbidden(request: HttpRequest, error: PermissionDenied) -> HttpResponse:
    """Somebody else's object."""
    return api.create_response(request, {"detail": str(error) or "This is not yours."}, status=403)


@api.exception_handler(RequestDataTooBig)
def too_large(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    """More than DATA_UPLOAD_MAX_MEMORY_SIZE."""
    return api.create_response(request, {"detail": _("The request is too large: 8 MB at most.")}, status=413)


@api.exception_handler(Exception)
def broken(request: HttpRequest, error: Exception) -> HttpResponse:
    """Our own fault: the caller learns what to ask the administrator for, the log the rest."""
    log.error("call failed", exc_info=error, method=request.method, path=request.path)
    got_request_exception.send(sender=Api, request=request)
    return failure.told(error, api.create_response(request, {"detail": failure.detail(error)}, status=500))
