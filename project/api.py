"""The JSON API: one NinjaAPI, the routers of the apps, and every error mapped once."""

from django.core.exceptions import NON_FIELD_ERRORS, PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import ValidationError as SchemaError

from accounts.api import tokens, users
from accounts.auth import TokenAuth
from campaigns.api import campaigns, messages
from directory.api import contacts
from project.http import Conflict, TooManyRequests
from reports.api import stats

api = NinjaAPI(
    title="Vestnik",
    version="1.0.0",
    description="SMS campaigns: contacts, campaigns, and every single message's fate.",
    auth=TokenAuth(),
    docs_url=None,
    openapi_url="/openapi.json",
    urls_namespace="api",
)
api.add_router("/users", users)
api.add_router("/tokens", tokens)
api.add_router("/contacts", contacts)
api.add_router("/campaigns", campaigns)
api.add_router("/messages", messages)
api.add_router("/stats", stats)


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
        {**item, "loc": [item["loc"][0], *item["loc"][2:]] if item["loc"][0] == "body" else item["loc"]}
        for item in error.errors
    ]
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
