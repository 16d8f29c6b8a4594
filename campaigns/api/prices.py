"""`/gateways/{name}/prices` of the JSON API."""

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Final

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from ninja import Field, Path, Router, Schema
from pydantic import AfterValidator, BeforeValidator, RootModel, WithJsonSchema

from campaigns.api.shared import ERRORS
from campaigns.gateways.policies import check_may_manage_gateways
from campaigns.gateways.registry import known_gateway
from campaigns.models import Price
from campaigns.prices.entries import Entry, check_year, read_area
from campaigns.prices.services import MAX_PRICES, prices_save
from project.http.body import Body, Error
from project.http.client import UserRequest
from project.http.errors import Invalid

router = Router(tags=["gateways"])

_AREA: Final = r"^([A-Z]{2}|[1-9][0-9]{0,14})?$"
_AMOUNT: Final = r"^[0-9]{1,9}(\.[0-9]{1,6})?$"
_DATE: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"


def _text(pattern: str, example: str) -> BeforeValidator:
    """Accept only texts of that form, because a number in JSON would not be exact."""

    def check(value: Any) -> Any:
        if not (isinstance(value, str) and re.fullmatch(pattern, value, re.ASCII)):
            raise ValueError(f'Enter a text such as "{example}".')
        return value

    return BeforeValidator(check)


def _rule(check: Callable[[Any], Any]) -> AfterValidator:
    """Apply a rule of prices, which raises Django's ValidationError."""

    def apply(value: Any) -> Any:
        try:
            return check(value)
        except ValidationError as error:
            raise ValueError(error.message) from error

    return AfterValidator(apply)


GatewayName = Annotated[str, Path(max_length=40, pattern="^[a-z0-9-]+$", description="The gateway's name")]
Area = Annotated[str, Field(pattern=_AREA), _rule(read_area)]
Amount = Annotated[Decimal, _text(_AMOUNT, "2.50"), WithJsonSchema({"type": "string", "pattern": _AMOUNT})]
Day = Annotated[date, _text(_DATE, "2026-11-24"), _rule(check_year)]


class PriceIn(Body):
    """What a gateway charges for one part of a message to an area, from a day on."""

    area: Area
    price: Amount
    valid_from: Day


class PricesIn(RootModel[Annotated[list[PriceIn], Field(max_length=MAX_PRICES)]]):
    """All prices of a gateway."""


class PriceOut(Schema):
    """See `PriceIn`."""

    area: str
    price: str
    valid_from: date


@router.get("/{name}/prices", response={200: list[PriceOut], ERRORS: Error}, summary="List a gateway's prices")
def list_prices(request: UserRequest, name: GatewayName) -> list[dict[str, Any]]:
    """All prices of a gateway by area and day. Administrators only."""
    check_may_manage_gateways(request.user)
    known_gateway(name)
    return _prices(name)


@router.put("/{name}/prices", response={200: list[PriceOut], ERRORS | {400}: Error}, summary="Set a gateway's prices")
def set_prices(request: UserRequest, name: GatewayName, body: PricesIn) -> list[dict[str, Any]]:
    """Replace all prices of a gateway. Costs that are already recorded do not change. Administrators only."""
    check_may_manage_gateways(request.user)
    known_gateway(name)
    entries: dict[tuple[str, date], Entry] = {}
    for index, item in enumerate(body.root):
        entry = Entry(item.area, item.valid_from, item.price)
        if entries.setdefault(entry.key, entry) is not entry:
            raise Invalid(["body", index, "area"], _("An earlier item has a price for the same area and day."))
    prices_save(gateway=name, entries=entries.values(), by=request.user, replace_all=True)
    return _prices(name)


def _prices(gateway: str) -> list[dict[str, Any]]:
    rows = Price.objects.filter(gateway=gateway).order_by("area", "valid_from")
    return [{"area": row.area, "price": f"{row.price:f}", "valid_from": row.valid_from} for row in rows]
