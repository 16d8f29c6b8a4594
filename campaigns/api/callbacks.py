"""`/callbacks` of the JSON API: delivery receipts that gateways send."""

from typing import Any, Final

from django.http import HttpRequest
from ninja import Field, Router, Schema
from ninja.security import APIKeyQuery

from campaigns.gateways import exchanges, registry
from campaigns.gateways.drivers.base import Callback, InvalidReceipt, Reported
from campaigns.messages.receipts import receipts_store
from project.http.body import Error, any_query
from project.http.errors import Invalid

callbacks = Router(tags=["callbacks"])

MAX_RECEIPTS: Final = 10_000


class GatewayKey(APIKeyQuery):
    """The key in the address that the gateway calls."""

    param_name = "key"
    openapi_name = "GatewayKey"

    def authenticate(self, request: HttpRequest, key: str | None) -> str | None:
        """Return the gateway's name; None (401) if the key does not fit or there is no such gateway."""
        name = str(request.resolver_match.kwargs["gateway"]) if request.resolver_match else ""
        return name if key and registry.key_fits(name, key) else None


class Received(Schema):
    """The number of stored receipts."""

    receipts: int = Field(description="How many have a final status; others are ignored")


_ANSWERS: Final = {200: Received, frozenset({401, 404, 422}): Error}


@callbacks.get("/{gateway}", response=_ANSWERS, auth=GatewayKey(), summary="Report the delivery of a message")
@any_query
def receive_receipt(request: HttpRequest, gateway: str) -> dict[str, Any]:
    """For gateways that report one message in the parameters of the address."""
    return _received(request, gateway)


@callbacks.post("/{gateway}", response=_ANSWERS, auth=GatewayKey(), summary="Report the delivery of messages")
@any_query
def receive_receipts(request: HttpRequest, gateway: str) -> dict[str, Any]:
    """One receipt or a list of receipts: `{"id": 7, "status": "delivered"}` or `"undelivered"`.

    Repeated receipts and receipts for unknown messages are accepted and ignored.
    """
    return _received(request, gateway)


def _received(request: HttpRequest, gateway: str) -> dict[str, Any]:
    driver = registry.driver(gateway)
    query = {name: str(value) for name, value in request.GET.items()}
    callback = Callback(query, request.body)
    try:
        receipts = driver.parse_receipts(callback)
    except InvalidReceipt as error:
        exchanges.log_callback(gateway, str(request.method), callback, error)
        raise Invalid(["body"], str(error)) from error
    if len(receipts) > MAX_RECEIPTS:
        raise Invalid(["body"], f"At most {MAX_RECEIPTS} receipts at once.")
    exchanges.log_callback(gateway, str(request.method), callback, Reported(receipts))
    return {"receipts": receipts_store(gateway, receipts)}
