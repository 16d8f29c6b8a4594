"""`/callbacks` of the JSON API: delivery receipts and incoming messages that gateways send."""

from typing import Any, Final

from django.http import HttpRequest, HttpResponse, QueryDict
from ninja import Field, Router, Schema
from ninja.security import APIKeyQuery, HttpBasicAuth

from campaigns.gateways import exchanges, registry
from campaigns.gateways.protocol import Callback, InvalidReceipt
from campaigns.messages.incoming import reported_store
from project.http.body import Error, any_query
from project.http.client import client_address
from project.http.errors import Invalid

callbacks = Router(tags=["callbacks"])

MAX_REPORTED: Final = 10_000


class GatewayKey(APIKeyQuery):
    """The key in the address that the gateway calls."""

    param_name = "key"
    openapi_name = "GatewayKey"

    def authenticate(self, request: HttpRequest, key: str | None) -> str | None:
        """Return the gateway's name; None (401) if the key does not fit or there is no such gateway."""
        return _gateway(request, key)


class GatewayPassword(HttpBasicAuth):
    """The key as the password, with any user name, for gateways whose callback address can't have parameters."""

    openapi_name = "GatewayPassword"

    def authenticate(self, request: HttpRequest, username: str, password: str) -> str | None:
        """Like `GatewayKey.authenticate`."""
        return _gateway(request, password)


def _gateway(request: HttpRequest, key: str | None) -> str | None:
    name = str(request.resolver_match.kwargs["gateway"]) if request.resolver_match else ""
    return name if key and registry.key_fits(name, key) else None


class Received(Schema):
    """The numbers of stored receipts and messages; repeats count, too."""

    receipts: int = Field(description="How many have a final status; others are ignored")
    incoming: int = Field(description="How many messages from phones were reported")


_KEY: Final = [GatewayKey(), GatewayPassword()]
_ANSWERS: Final = {200: Received, frozenset({401, 404, 422}): Error}


@callbacks.get("/{gateway}", response=_ANSWERS, auth=_KEY, summary="Report a receipt or an incoming message")
@any_query
def receive_receipt(request: HttpRequest, gateway: str) -> Any:
    """For gateways that report in the parameters of the address."""
    return _received(request, gateway)


@callbacks.post("/{gateway}", response=_ANSWERS, auth=_KEY, summary="Report receipts and incoming messages")
@any_query
def receive_receipts(request: HttpRequest, gateway: str) -> Any:
    """One receipt or a list of receipts: `{"id": 7, "status": "delivered"}` or `"undelivered"`.

    Gateways of some kinds have formats and answers of their own. Repeats and receipts for unknown messages are accepted
    and ignored.
    """
    return _received(request, gateway)


def _received(request: HttpRequest, gateway: str) -> Any:
    driver = registry.driver(gateway)
    # `request.GET` is read in the encoding that the request names for its body.
    parameters = QueryDict(request.META.get("QUERY_STRING", ""), encoding="utf-8")
    query = {name: str(value) for name, value in parameters.items()}
    headers = {name.lower(): value for name, value in request.headers.items()}
    callback = Callback(query, request.body, headers, client_address(request))
    try:
        reported = driver.parse_callback(callback)
    except InvalidReceipt as error:
        exchanges.log_callback(gateway, str(request.method), callback, error)
        raise Invalid(["body"], str(error)) from error
    if len(reported.receipts) + len(reported.incoming) > MAX_REPORTED:
        raise Invalid(["body"], f"At most {MAX_REPORTED} receipts and messages at once.")
    exchanges.log_callback(gateway, str(request.method), callback, reported)
    receipts, incoming = reported_store(gateway, reported)
    answer = driver.acknowledgement
    if answer is None:
        return {"receipts": receipts, "incoming": incoming}
    return HttpResponse(answer.body, status=answer.status, content_type=answer.content_type)
