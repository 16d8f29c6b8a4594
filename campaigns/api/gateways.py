"""`/gateways` of the JSON API."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.utils.translation import gettext as _
from ninja import Field, Router, Schema, Status
from pydantic import AfterValidator, Strict

from accounts.api_access.idempotency import idempotent
from accounts.optimistic_locking import IfMatch, Version, expected, version_of, with_etag
from campaigns.api.prices import GatewayName
from campaigns.api.shared import ERRORS, SENDS
from campaigns.gateways import areas, senders
from campaigns.gateways.definitions.presets import presets
from campaigns.gateways.definitions.schema import MAX_LENGTH, Definition
from campaigns.gateways.exchanges import exchanges_of
from campaigns.gateways.forms import TAKEN
from campaigns.gateways.policies import check_may_manage_gateways
from campaigns.gateways.provider_forms import OPTION, form_of
from campaigns.gateways.registry import address_of, callback_address, known_gateway
from campaigns.gateways.services import (
    figures_of_day,
    gateway_delete,
    gateway_save,
    known_gateways,
)
from campaigns.gateways.trials import gateway_check, gateway_send_test
from campaigns.models import MAX_TEXT_LENGTH, Exchange, Gateway
from campaigns.wording import reason_words
from project.core.sealed_secrets import Locked
from project.http.body import Body, Error, Flag, Line
from project.http.client import UserRequest
from project.http.errors import Conflict
from project.http.paging import SortedPage

router = Router(tags=["gateways"])

_OF_ANY_GATEWAY = ("carries", "senders", "fallback")
"""What can be changed of the settings' gateway, too."""
_OWN_FIELDS = ("name", "kind", "preset", "definition", "url", "username", "concurrency", "rate", "active")


def _check_name(name: str) -> str:
    try:
        senders.check_name(name)
    except ValidationError as error:
        raise ValueError(error.message) from error
    return name


class SenderIn(Body):
    """A sender name that a gateway allows."""

    name: Annotated[Line, AfterValidator(_check_name)] = Field(
        description="3 to 11 letters and digits, a phone number or a short code", examples=["Vestnik"]
    )
    countries: list[Annotated[Line, Field(min_length=2, max_length=2)]] = Field(
        default_factory=list,
        max_length=300,
        description="ISO 3166 codes of the countries where it is allowed; empty: all",
        examples=[["RU", "KZ"]],
    )


class SenderOut(Schema):
    """A sender name that a gateway allows."""

    name: str = Field(examples=["Vestnik"])
    countries: list[str] = Field(description="The countries where it is allowed; empty: all", examples=[["RU", "KZ"]])


class GatewayFields(Body):
    """The fields of a gateway that can change. Defaults are factories, so that a PATCH shows none."""

    kind: Line = Field(
        max_length=10, description="`probe`, `kannel`, or `http` for a provider", examples=["probe", "http"]
    )
    preset: Line = Field(
        default_factory=str,
        max_length=40,
        description="For `http`: name of a preset, see `/gateways/presets`; can't be changed later",
    )
    definition: str = Field(
        default_factory=str,
        max_length=MAX_LENGTH,
        description="For `http` without a preset: the description of the provider in TOML",
    )
    fields: dict[str, Annotated[str, Field(max_length=2000)]] = Field(
        default_factory=dict,
        max_length=50,
        description="For `http`: what the description asks for. Secrets are never shown; empty: keep the current one",
        examples=[{"account": "AC123", "token": "secret"}],
    )
    url: Line = Field(
        default_factory=str,
        max_length=500,
        description="Address that gets the messages; may be left out with a preset",
        examples=["https://sms.example.org"],
    )
    username: Line = Field(default_factory=str, max_length=100, description="Only for some kinds")
    secret: Line = Field(
        default_factory=str, max_length=500, description="Token or password; never shown. Empty: keep the current one"
    )
    concurrency: Annotated[int, Strict(), Field(ge=1, le=5000)] | None = Field(
        default_factory=lambda: None, description="Maximum requests at a time in a send session; null: the settings'"
    )
    rate: Annotated[float, Strict(), Field(ge=0.01, le=100_000)] | None = Field(
        default_factory=lambda: None, description="Maximum messages per second; null: no limit"
    )
    carries: list[Annotated[Line, Field(min_length=1, max_length=15)]] = Field(
        default_factory=list,
        max_length=60,
        description="The numbers that it takes: ISO 3166 codes or first digits; empty: all",
        examples=[["KZ", "7727"]],
    )
    senders: list[SenderIn] = Field(
        default_factory=list,
        max_length=senders.MAX_SENDERS,
        description="The sender names that it allows; the first one for a country is the default there",
    )
    active: Flag = Field(default_factory=lambda: True, description="Whether messages are sent through it")
    fallback: Annotated[Line, Field(min_length=1, max_length=40)] | None = Field(
        default_factory=lambda: None, description="Name of the gateway that sends while this one does not respond"
    )


class GatewayIn(GatewayFields):
    """A new gateway."""

    name: Line = Field(max_length=40, description="Lowercase letters a-z, digits and hyphens; can't be changed later")


class GatewayPatch(GatewayFields):
    """Changes; an omitted field keeps its value. Of the settings' gateway: only `carries`, `senders` and `fallback`."""

    kind: Line = Field(default_factory=str, max_length=10, description="Its kind, as on the page")
    version: Version = Field(default_factory=str)


class GatewayOut(Schema):
    """A gateway without its secret, and its health."""

    name: str
    from_settings: bool = Field(description="Whether the settings describe it; it can't be deleted")
    kind: str = Field(examples=["probe"], description="Its kind")
    preset: str = Field(description="Name of its preset; empty: none")
    definition: str = Field(description="The description of its provider in TOML; empty: none of its own")
    fields: dict[str, str] = Field(description="What its description asks for, without secrets")
    url: str = Field(description="Address that gets the messages; empty for the settings' gateway")
    username: str = Field(description="Its user; may be empty")
    concurrency: int | None = Field(description="Maximum requests at a time in a send session; null: the settings'")
    rate: float | None = Field(description="Maximum messages per second; null: no limit of its own")
    carries: list[str] = Field(description="The numbers that it takes: ISO 3166 codes or first digits; empty: all")
    senders: list[SenderOut] = Field(
        description="The sender names that it allows; the first one for a country is the default there"
    )
    active: bool = Field(description="Whether messages are sent through it")
    fallback: str | None = Field(description="Name of the gateway that sends while this one does not respond")
    stopped_since: datetime | None = Field(description="Since when it does not respond; null: it does")
    next_check: datetime | None = Field(description="When it is tried again; null: it responds")
    held_until: datetime | None = Field(description="Until when it asked to wait; null: it did not")
    problem: str = Field(description="Why it was stopped; empty: no problem")
    day: dict[str, int] = Field(
        description="Attempts by result, and receipts, of the last 24 hours", examples=[{"sent": 1200, "failed": 3}]
    )
    version: str = Field(description="Changes with what can be edited; see `If-Match`")


class CallbackOut(Schema):
    """Where a gateway sends receipts and incoming messages."""

    url: str = Field(description="The address, which contains a key: keep it secret")


class PresetFieldOut(Schema):
    """A value that a provider asks for."""

    name: str = Field(description="Its key in `fields` of a gateway")
    label: str = Field(description="What the provider calls it")
    help: str = Field(description="Where to find it; may be empty")
    secret: bool = Field(description="Whether it is never shown again")
    required: bool = Field(description="Whether the provider needs it")
    default: str = Field(description="Its value if it is left out; may be empty")


class PresetOut(Schema):
    """A known provider."""

    name: str = Field(description="Value of `preset` of a gateway", examples=["twilio"])
    label: str = Field(description="Name of the provider", examples=["Twilio"])
    url: str = Field(description="Its usual address; empty: each account has its own")
    documentation: list[str] = Field(description="Addresses of its documentation")
    checked_on: date | None = Field(description="When the preset was compared with the documentation")
    unverified: str = Field(description="What could not be compared; empty: nothing")
    fields: list[PresetFieldOut] = Field(description="What it asks for")


class CheckOut(Schema):
    """The result of a request that delivers no message."""

    ok: bool = Field(description="Whether the gateway responds and accepts the credentials")
    reason: str = Field(description="Why not, as a code like `timeout`; empty if it is well", examples=["http_401"])
    message: str = Field(description="The same in words")
    balance: str | None = Field(description="The balance of the account, as the provider writes it; null: not known")


class TestIn(Body):
    """A test message."""

    phone: Line | int = Field(description="In any usual notation", examples=["+7 999 123-45-67"])
    text: str = Field(default="", max_length=MAX_TEXT_LENGTH, description="Without it, a text with the gateway's name")
    sender: Line = Field(default="", max_length=100, description="Its sender name; empty: the gateway's own")


class ExchangeOut(Schema):
    """A request and its answer, or a callback. Without secrets and texts; of phones the last two digits."""

    at: datetime
    direction: str = Field(description="`out`: to the gateway; `in`: from it", examples=["out"])
    message_id: int | None = Field(description="Id of the message; null: none, or several")
    method: str = Field(description="HTTP method of the request", examples=["POST"])
    url: str = Field(description="Address; of a callback only its parameters")
    request: str = Field(description="Body of the request")
    status: int | None = Field(description="HTTP status of the answer; null: no answer, or a callback")
    failure: str = Field(description="Why there is no answer, as a code; empty: there is one")
    answer: str = Field(description="Body of the answer")
    verdict: str = Field(
        description="`sent`, `retry`, `refused`, `held`, `unauthorised` or `uncertain`; of a check `checked` or "
        "`failed`; of a callback `read` or `unread`",
        examples=["sent"],
    )
    reason: str = Field(description="Why, as a code; may be empty", examples=["http_401"])
    duration_ms: int | None


class TestOut(ExchangeOut):
    """The result of a test message."""

    ids: list[str] = Field(description="The provider's ids of an accepted message")
    price: Decimal | None = Field(description="What it costs, if the provider says so")
    message: str = Field(description="The reason in words; empty: none")


def _exchange_out(row: Exchange) -> dict[str, Any]:
    """Return the values of `ExchangeOut`."""
    return {name: getattr(row, name) for name in ExchangeOut.model_fields}


def _gateway_out(row: Gateway, day: dict[str, int]) -> dict[str, Any]:
    """Return the values of `GatewayOut`."""
    return {
        **{name: getattr(row, name) for name in (*_OWN_FIELDS, "held_until")},
        "kind": row.kind or settings.GATEWAY,
        "fields": row.options,
        "url": address_of(row),
        "from_settings": not row.kind,
        "carries": list(areas.parse(row.carries)),
        "senders": row.senders,
        "fallback": row.fallback_id,
        "stopped_since": row.opened_at,
        "next_check": row.open_until,
        "problem": row.alert,
        "day": day,
        "version": version_of(row),
    }


def _preset_out(name: str, definition: Definition) -> dict[str, Any]:
    """Return the values of `PresetOut`."""
    values = {key: getattr(definition, key) for key in ("label", "url", "documentation", "checked_on", "unverified")}
    fields = [{"name": field, **entry.model_dump()} for field, entry in definition.fields.items()]
    return {"name": name, **values, "fields": fields}


def _answer(response: HttpResponse, row: Gateway) -> dict[str, Any]:
    """Return one gateway, with its ETag."""
    return _gateway_out(with_etag(response, row), figures_of_day([row])[row.name])


def _save(request: UserRequest, values: dict[str, Any], row: Gateway | None = None) -> Gateway:
    """Save through the form of the pages, which has the rules."""
    new = Gateway(kind=values.get("kind", ""), preset=values.get("preset", ""))
    form = form_of(row or new, values)
    if form.has_error("name", TAKEN):
        raise Conflict(_("This name is already in use."))
    if not form.is_valid():
        raise ValidationError(form.errors.as_data())
    return gateway_save(form=form, by=request.user, row=row)


def _form_values(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the input of the form for fields of the API."""
    options = {OPTION + name: value for name, value in fields.pop("fields", {}).items()}
    values = {name: "" if value is None else value for name, value in {**fields, **options}.items()}
    if "carries" in fields:
        values["carries"] = ",".join(fields["carries"])
    if "senders" in fields:
        values["senders"] = senders.lines_of(fields["senders"])
    return values


@router.get("", response={200: SortedPage[GatewayOut], frozenset({401, 403, 422}): Error}, summary="List gateways")
def list_gateways(request: UserRequest) -> dict[str, Any]:
    """All gateways on one page, the settings' gateway first, then by name. Administrators only."""
    check_may_manage_gateways(request.user)
    known = known_gateways()
    figures = figures_of_day(known)
    return {"items": [_gateway_out(row, figures[row.name]) for row in known], "next": None}


@router.post("", response={201: GatewayOut, frozenset({400, 401, 403, 409, 422}): Error}, summary="Add a gateway")
@idempotent
def create_gateway(request: UserRequest, response: HttpResponse, body: GatewayIn) -> Any:
    """Check it afterwards. Administrators only. 409 if the name is taken. The page shows the address for receipts."""
    check_may_manage_gateways(request.user)
    return Status(201, _answer(response, _save(request, _form_values(body.dict()))))


@router.get(
    "/presets", response={200: SortedPage[PresetOut], frozenset({401, 403, 422}): Error}, summary="List known providers"
)
def list_presets(request: UserRequest) -> dict[str, Any]:
    """The providers that need no description, by their names, on one page. Administrators only."""
    check_may_manage_gateways(request.user)
    return {"items": [_preset_out(name, definition) for name, definition in presets().items()], "next": None}


@router.get("/{name}", response={200: GatewayOut, ERRORS: Error}, summary="Show a gateway")
def show_gateway(request: UserRequest, response: HttpResponse, name: GatewayName) -> Any:
    """One gateway and its health. Administrators only."""
    check_may_manage_gateways(request.user)
    return _answer(response, known_gateway(name))


@router.patch("/{name}", response={200: GatewayOut, ERRORS | {400, 409, 412}: Error}, summary="Change a gateway")
def change_gateway(
    request: UserRequest, response: HttpResponse, name: GatewayName, body: GatewayPatch, if_match: IfMatch = None
) -> Any:
    """A new secret replaces the stored one. Administrators only."""
    check_may_manage_gateways(request.user)
    row, changes = known_gateway(name), body.dict(exclude_unset=True)
    version = expected(if_match, changes.pop("version", None))
    if not row.kind and (others := changes.keys() - set(_OF_ANY_GATEWAY)):
        raise ValidationError({field: _("The settings describe this gateway.") for field in sorted(others)})
    current = {
        **{field: getattr(row, field) for field in _OWN_FIELDS},
        "carries": list(areas.parse(row.carries)),
        "senders": row.senders,
        "fallback": row.fallback_id,
        "secret": "",
        "fields": row.options | changes.pop("fields", {}),
    }
    values = _form_values({**current, **changes, "version": version})
    return _answer(response, _save(request, values, row))


@router.delete("/{name}", response={204: None, ERRORS | {409}: Error}, summary="Delete a gateway")
def delete_gateway(request: UserRequest, name: GatewayName) -> Status[None]:
    """Its prices are deleted, too. Administrators only.

    409 if a campaign, a message or another gateway refers to it, and for the settings' gateway. Set `active` to false
    instead.
    """
    check_may_manage_gateways(request.user)
    gateway_delete(row=known_gateway(name), by=request.user)
    return Status(204, None)


@router.get("/{name}/callback", response={200: CallbackOut, ERRORS: Error}, summary="Show the callback address")
def show_callback(request: UserRequest, name: GatewayName) -> dict[str, str]:
    """Enter it at the provider if messages do not contain it. Administrators only."""
    check_may_manage_gateways(request.user)
    return {"url": callback_address(known_gateway(name).name)}


@router.post("/{name}/check", response={200: CheckOut, ERRORS: Error}, summary="Check a gateway")
def check_gateway(request: UserRequest, name: GatewayName) -> dict[str, Any]:
    """Send a request that delivers no message, and wait for the answer. Administrators only."""
    check_may_manage_gateways(request.user)
    known_gateway(name)
    try:
        checked = gateway_check(name)
    except Locked:
        return {"ok": False, "reason": "locked", "message": _locked_words(), "balance": None}
    reason = checked.reason
    message, balance = reason_words(reason), checked.balance or None
    return {"ok": not reason, "reason": reason, "message": message, "balance": balance}


@router.post(
    "/{name}/test", response={200: TestOut, ERRORS | {400, 409}: Error}, summary="Send a test message", auth=SENDS
)
def test_gateway(request: UserRequest, name: GatewayName, body: TestIn) -> dict[str, Any]:
    """Send one message through this gateway now, and wait for the answer. Administrators only.

    It costs what a message costs, appears in no figures, and its receipt changes nothing. 409: the gateway's secret
    must be entered again.
    """
    check_may_manage_gateways(request.user)
    known_gateway(name)
    try:
        tested = gateway_send_test(name=name, by=request.user, **body.dict())
    except Locked as error:
        raise Conflict(_locked_words()) from error
    outcome = tested.outcome
    more = {"ids": outcome.ids, "price": outcome.price, "message": reason_words(outcome.reason)}
    return {**_exchange_out(tested.exchange), **more}


@router.get(
    "/{name}/exchanges", response={200: SortedPage[ExchangeOut], ERRORS: Error}, summary="List a gateway's exchanges"
)
def list_exchanges(request: UserRequest, name: GatewayName) -> dict[str, Any]:
    """The latest 100 of the last day, newest first, on one page. Administrators only.

    Under load only some are logged, failures first.
    """
    check_may_manage_gateways(request.user)
    known_gateway(name)
    return {"items": [_exchange_out(row) for row in exchanges_of(name)], "next": None}


def _locked_words() -> str:
    return _("The secret was encrypted with a different SECRET_KEY. Enter it again.")
