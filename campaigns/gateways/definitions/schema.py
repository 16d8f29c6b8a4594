"""The format of a description: its keys, and what may stand there (docs/providers.md)."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date
from ipaddress import ip_network
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit
from xml.parsers.expat import ExpatError

import xmltodict
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, ValidationError, model_validator

from campaigns.gateways.definitions.paths import Body, Path
from campaigns.gateways.definitions.templates import variables

MAX_LENGTH: Final = 50_000
"""Characters of a description."""
_MAX_DEPTH: Final = 20
# Found before parsing: tomllib takes a minute for a key of 24 000 steps.
_DEEP_KEY: Final = re.compile(rf"""(?:\.[ \t]*[\w"'-]+[ \t]*){{{_MAX_DEPTH}}}""")
MESSAGE_VARIABLES: Final = frozenset(
    {
        "phone",
        "phone_plus",
        "phone_national",
        "text",
        "text_hex",
        "gsm7_text",
        "ucs2_hex",
        "sender",
        "id",
        "parts",
        "encoding",
        "callback",
    }
)

Outcome = Literal["accepted", "refused", "retry", "hold", "no_money", "unauthorised", "uncertain"]
Reason = Literal[
    "",
    "invalid_number",
    "landline",
    "opted_out",
    "blocked",
    "unroutable",
    "invalid_sender",
    "invalid_text",
    "spam",
    "duplicate",
    "limit",
    "expired",
    "absent",
    "not_delivered",
    "refused_by_centre",
    "no_money",
    "credentials",
    "provider_error",
]


class InvalidDefinition(ValueError):
    """A description that can't be used; the text says where and why, a line for each problem."""


def _template(text: str) -> str:
    variables(text)
    return text


def _path(value: Any) -> Path:
    if not isinstance(value, str):
        raise ValueError("A path is a text.")  # noqa: TRY004 — pydantic reports no other error
    return Path(value)


def _network(text: str) -> str:
    ip_network(text)
    return text


def _address(text: str) -> str:
    parts = urlsplit(text)
    if text and not (parts.scheme in ("http", "https") and parts.hostname and text.isprintable() and " " not in text):
        raise ValueError("An address begins with https:// or http://.")
    return text


def _one_line(text: str) -> str:
    if any(ord(character) < 32 for character in text):
        raise ValueError("No line breaks are possible here.")
    return text


Template = Annotated[str, AfterValidator(_template)]
Line = Annotated[str, AfterValidator(_one_line)]
OneLineTemplate = Annotated[str, AfterValidator(_template), AfterValidator(_one_line)]
Address = Annotated[str, AfterValidator(_address)]
PathText = Annotated[Path, PlainValidator(_path)]
Texts = Annotated[list[str], Field(min_length=1, max_length=500)]
ContentType = Annotated[str, Field(pattern=r"^(text/(plain|xml)|application/(xml|json))(; ?charset=[\w-]+)?$")]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, arbitrary_types_allowed=True)


class EntryField(_Table):
    """What an administrator enters for a gateway."""

    label: Line
    help: Line = ""
    secret: bool = False
    required: bool = True
    default: Line = ""


class Auth(_Table):
    """Basic (RFC 7617) or bearer (RFC 6750) authentication."""

    type: Literal["basic", "bearer"]
    username: OneLineTemplate = ""
    password: OneLineTemplate = ""
    token: OneLineTemplate = ""


class Encodings(_Table):
    """What `{encoding}` is, by the encoding of the text."""

    gsm7: Line
    ucs2: Line


def _check_xml(template: str) -> None:
    try:
        xmltodict.parse(template)
    except ExpatError as error:
        raise ValueError(f"xml: This is not well-formed: {error}.") from error


class RequestTable(_Table):
    """A request."""

    method: Literal["GET", "POST"] = "POST"
    url: Template
    auth: Auth | None = None
    headers: dict[HeaderName, OneLineTemplate] = {}
    query: dict[str, Template] = {}
    form: dict[str, Template] | None = None
    body_json: dict[str, Any] | list[Any] | None = Field(None, alias="json")
    xml: Template | None = None
    charset: Line = "utf-8"
    encodings: Encodings = Encodings(gsm7="gsm7", ucs2="ucs2")

    @model_validator(mode="after")
    def _check(self) -> Self:
        rest = self.url.removeprefix("{url}")
        if rest == self.url or rest[:1] not in ("", "/", "?"):
            raise ValueError("url: Begin with {url}, followed by a slash or a question mark.")
        if not (self.url.isascii() and self.url.isprintable()) or " " in self.url:
            raise ValueError("url: Percent-encode spaces and characters that are not ASCII.")
        bodies = [body for body in (self.form, self.body_json, self.xml) if body is not None]
        if len(bodies) > 1 or (bodies and self.method == "GET"):
            raise ValueError("A request has one body: form, json or xml. GET has none.")
        try:
            "a".encode(self.charset, "xmlcharrefreplace")
        except (LookupError, ValueError) as error:
            raise ValueError(f"charset: “{self.charset}” is not known.") from error
        for text in texts_of(self.body_json):
            variables(text)
        try:
            json.dumps(self.body_json, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError("json: JSON has no dates, infinity and NaN.") from error
        if self.xml is not None:
            _check_xml(self.xml)
        return self

    def templates(self) -> Iterator[str]:
        """All templates that may contain variables of the message."""
        yield self.url
        yield from self.query.values()
        yield from (self.form or {}).values()
        yield from texts_of(self.body_json)
        yield self.xml or ""

    def static_templates(self) -> Iterator[str]:
        """The templates of headers, which are the same for all messages."""
        yield from self.headers.values()
        if self.auth is not None:
            yield from (self.auth.username, self.auth.password, self.auth.token)


class Condition(_Table):
    """A condition about values at a path."""

    path: PathText | None = None
    equals: Texts | None = None
    starts: Texts | None = None
    contains: Texts | None = None
    exists: bool | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        tests = [test for test in (self.equals, self.starts, self.contains, self.exists) if test is not None]
        if len(tests) != (self.path is not None):
            raise ValueError("Write path with one of equals, starts, contains and exists.")
        return self


class Rule(Condition):
    """What an answer means if the conditions fit."""

    status: list[Annotated[str, Field(pattern=r"^[1-5](\d\d|xx)$")]] = []
    outcome: Outcome
    reason: Reason = ""
    seconds: Annotated[int, Field(ge=1, le=86_400)] | None = None


class AnswerTable(_Table):
    """How to read the answer to a message."""

    body: Literal["json", "xml", "form", "text"]
    ids: PathText | None = None
    price: PathText | None = None
    error: PathText | None = None
    rules: Annotated[list[Rule], Field(min_length=1, max_length=100)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not any(rule.outcome == "accepted" for rule in self.rules):
            raise ValueError("rules: No rule says what is accepted.")
        return self


class ReceiptsTable(_Table):
    """How to read receipts."""

    body: Body
    items: PathText | None = None
    when: Condition | None = None
    id: PathText | None = None
    message: PathText | None = None
    status: PathText
    error: PathText | None = None
    price: PathText | None = None
    delivered: Texts
    undelivered: Texts
    reasons: dict[str, Reason] = {}


class IncomingTable(_Table):
    """How to read incoming messages."""

    body: Body
    items: PathText | None = None
    when: Condition | None = None
    phone: PathText = Field(alias="from")
    text: PathText | None = None
    text_hex: PathText | None = None
    recipient: PathText | None = Field(None, alias="to")
    id: PathText | None = None
    time: PathText | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.text is None) == (self.text_hex is None):
            raise ValueError("Write text or text_hex.")
        return self


class AnswerBack(_Table):
    """What the provider expects in return for a callback."""

    status: Annotated[int, Field(ge=200, le=299)] = 200
    type: ContentType = "text/plain"
    body: str = ""


class Signature(_Table):
    """The HMAC of a callback's body in a header."""

    header: HeaderName
    field: str
    algorithm: Literal["sha1", "sha256", "sha512"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    prefix: Line = ""


class CallbacksTable(_Table):
    """What receipts and incoming messages have in common."""

    answer: AnswerBack | None = None
    signature: Signature | None = None
    addresses: list[Annotated[str, AfterValidator(_network)]] = []


class PullTable(RequestTable):
    """How to ask for receipts."""

    batch: Annotated[int, Field(ge=1, le=1000)] = 1
    separator: Line = ","
    receipts: ReceiptsTable


class CheckTable(RequestTable):
    """A request that sends no message."""

    balance: PathText | None = None


class Definition(_Table):
    """The description of a provider."""

    version: Literal[1]
    label: Annotated[Line, Field(min_length=1, max_length=60)]
    documentation: list[Address] = []
    checked_on: date | None = None
    unverified: str = ""
    idempotent: bool = False
    max_parts: Annotated[int, Field(ge=1, le=255)] | None = None
    sender: Literal["required", "optional", "unsupported"] = "optional"
    url: Address = ""
    fields: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")], EntryField] = {}
    request: RequestTable
    answer: AnswerTable
    receipts: ReceiptsTable | None = None
    incoming: IncomingTable | None = None
    callbacks: CallbacksTable = CallbacksTable()
    check: CheckTable | None = None
    pull: PullTable | None = None
    examples: dict[str, Any] = {}

    @property
    def secret_names(self) -> set[str]:
        """The names of the secret fields."""
        return {name for name, field in self.fields.items() if field.secret}

    @model_validator(mode="after")
    def _check(self) -> Self:
        if reserved := self.fields.keys() & (MESSAGE_VARIABLES | {"url", "ids"}):
            raise ValueError(f"fields: {', '.join(sorted(reserved))} is the name of a variable.")
        own = self.fields.keys() | {"url"}
        _require("request", self.request, own | MESSAGE_VARIABLES, own)
        used = {name for template in self.request.templates() for name in variables(template)}
        if self.sender == "unsupported" and "sender" in used:
            raise ValueError("sender: The request contains {sender}, so it is not unsupported.")
        if self.receipts and not (self.receipts.id or self.receipts.message or "callback" in used):
            raise ValueError("receipts: Write id or message, or send {callback} with each message.")
        if self.check is not None:
            _require("check", self.check, own, own)
        if self.pull is not None:
            _require("pull", self.pull, own | {"ids"}, own)
        signature = self.callbacks.signature
        if signature is not None and not (signature.field in self.fields and self.fields[signature.field].secret):
            raise ValueError("callbacks.signature: field is the name of a secret field.")
        return self


def _require(name: str, table: RequestTable, allowed: set[str], static: set[str]) -> None:
    for templates, names in ((table.templates(), allowed), (table.static_templates(), static)):
        unknown = {variable for template in templates for variable in variables(template)} - names
        if unknown:
            raise ValueError(f"{name}: {{{min(unknown)}}} is not a variable here.")


def texts_of(value: Any) -> Iterator[str]:
    """All texts in a JSON value, without the names in objects."""
    match value:
        case str():
            yield value
        case Mapping():
            for item in value.values():
                yield from texts_of(item)
        case list():
            for item in value:
                yield from texts_of(item)


def load(text: str) -> Definition:
    """Read a description in TOML. Raises InvalidDefinition."""
    if len(text) > MAX_LENGTH:
        raise InvalidDefinition(f"A description has at most {MAX_LENGTH} characters.")
    if _DEEP_KEY.search(text):
        raise InvalidDefinition(f"A description has at most {_MAX_DEPTH} levels.")
    try:
        data = tomllib.loads(text)
        if _is_too_deep(data):
            raise InvalidDefinition(f"A description has at most {_MAX_DEPTH} levels.")
        return Definition.model_validate(data)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidDefinition(f"This is not TOML: {error}") from error
    except ValidationError as error:
        raise InvalidDefinition("\n".join(map(_problem, error.errors()))) from error


def _is_too_deep(data: Any) -> bool:
    level = [data]
    for _ in range(_MAX_DEPTH):
        level = [child for value in level for child in _children(value)]
        if not level:
            return False
    return True


def _children(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []


def _problem(error: Any) -> str:
    place = ".".join(str(step) for step in error["loc"])
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{place}: {message}" if place else message
