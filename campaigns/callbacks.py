"""`/callbacks` of the JSON API: what gateways tell us of their own accord."""

from typing import Any, Final

from django.http import HttpRequest
from ninja import Field, Router, Schema
from ninja.security import APIKeyQuery

from campaigns import connections
from campaigns.gateways.base import Callback, NotAReceipt
from campaigns.receipts import receipts_take
from project.http import Error, Invalid, any_query

callbacks = Router(tags=["callbacks"])

MAX_RECEIPTS: Final = 10_000


class GatewayKey(APIKeyQuery):
    """The key in the address that the gateway was given."""

    param_name = "key"
    openapi_name = "GatewayKey"

    def authenticate(self, request: HttpRequest, key: str | None) -> str | None:
        """The gateway's name; None (401) where the key is not its own, or there is no such gateway."""
        name = str(request.resolver_match.kwargs["gateway"]) if request.resolver_match else ""
        return name if key and connections.key_fits(name, key) else None


class Received(Schema):
    """What was taken."""

    receipts: int = Field(description="How many tell of an end; what is still under way is not kept")


_ANSWERS: Final = {200: Received, frozenset({401, 404, 422}): Error}


@callbacks.get("/{gateway}", response=_ANSWERS, auth=GatewayKey(), summary="Tell what became of a message")
@any_query
def receive_receipt(request: HttpRequest, gateway: str) -> dict[str, Any]:
    """For gateways like Kannel, which tell of one message by the parameters of the address."""
    return _received(request, gateway)


@callbacks.post("/{gateway}", response=_ANSWERS, auth=GatewayKey(), summary="Tell what became of messages")
@any_query
def receive_receipts(request: HttpRequest, gateway: str) -> dict[str, Any]:
    """For the gateway: one receipt or a list, `{"id": 7, "status": "delivered"}` or `"undelivered"`.

    What was told before, or of a message that we don't know, is taken and does nothing.
    """
    return _received(request, gateway)


def _received(request: HttpRequest, gateway: str) -> dict[str, Any]:
    adapter = connections.adapter(gateway)
    query = {name: str(value) for name, value in request.GET.items()}
    try:
        receipts = adapter.parse_receipts(Callback(query, request.body))
    except NotAReceipt as error:
        raise Invalid(["body"], str(error)) from error
    if len(receipts) > MAX_RECEIPTS:
        raise Invalid(["body"], f"At most {MAX_RECEIPTS} receipts at once.")
    return {"receipts": receipts_take(gateway, receipts)}
