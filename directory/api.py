"""`/contacts` of the JSON API."""

from collections import Counter
from datetime import datetime
from typing import Annotated, Any

from django.core.exceptions import ValidationError
from django.shortcuts import get_object_or_404
from ninja import Field, Path, Query, Router, Schema, Status
from pydantic import AfterValidator, SkipValidation
from pydantic import ValidationError as SchemaError

from accounts.idempotency import idempotent
from directory import phones
from directory.attributes import MAX_ATTRIBUTES
from directory.details import MAX_TAGS
from directory.erasure import contact_erase
from directory.models import Contact, Source
from directory.services import NOT_YOURS, contact_create, contact_deactivate, contact_update
from directory.upsert import Outcome, Policy, Result, contacts_upsert
from project.http import Body, Error, Flag, Line, ListQuery, Page, Signed, keyset

MAX_BULK = 10_000

contacts = Router(tags=["contacts"])

Phone = Annotated[str, Field(max_length=40, coerce_numbers_to_str=True, examples=["+7 (999) 123-45-67"])]
OperatorCode = Annotated[str, Field(pattern=r"^[0-9]{3}$", examples=["999"])]
Name = Annotated[Line, Field(max_length=150, description="Letters of any script, spaces, hyphens, apostrophes")]
Zone = Annotated[Line, Field(max_length=64, examples=["Europe/Moscow"])]
ContactId = Annotated[int, Path(ge=1, le=2**63 - 1)]


def _as_stored(written: str) -> str:
    """The phone that a list is asked for; Pydantic takes a ValueError only."""
    try:
        return str(phones.normalise(written))
    except ValidationError as error:
        raise ValueError(error.message) from error


class ContactQuery(ListQuery):
    """Filters of the list; all that are given must hold."""

    phone: Annotated[Phone, AfterValidator(_as_stored)] | None = Field(None, description="As people write it")
    operator_code: OperatorCode | None = None
    tag: Line | None = Field(None, max_length=100, description="Its case does not matter")
    timezone: Zone | None = None
    q: Line | None = Field(None, max_length=100, description="Words of the name, digits of the phone")
    is_active: bool | None = None
    opted_out: bool | None = None


class ContactDetails(Body):
    """What can be told of a contact besides its phone. Defaults are made by factories: they don't show in a PATCH."""

    operator_code: OperatorCode | None = Field(None, description="Derived; refused if it contradicts the phone")
    first_name: Name = Field(default_factory=str)
    last_name: Name = Field(default_factory=str)
    tags: list[Line] = Field(default_factory=list, max_length=MAX_TAGS, description="Kept in lower case")
    timezone: Zone | None = Field(None, description="IANA name; null: as the phone tells, else the installation's")
    attributes: dict[str, str | int | float | bool] = Field(
        default_factory=dict,
        max_length=MAX_ATTRIBUTES,
        description="Flat: names (letters, digits, underscores) to texts, numbers or booleans",
    )
    opted_out: Flag = Field(default_factory=bool, description="Asked not to be written to")


class ContactIn(ContactDetails):
    """A new contact."""

    phone: Phone


class ContactPatch(ContactDetails):
    """Changes; what is left out stays. Tags and attributes are replaced as a whole."""

    phone: Phone = Field(default_factory=str)
    is_active: Flag = Field(default_factory=bool)


class ContactOut(Schema):
    """A contact."""

    id: int
    phone: str = Field(examples=["79991234567"])
    operator_code: str = Field(examples=["999"])
    first_name: str
    last_name: str
    tags: list[str]
    timezone: str
    attributes: dict[str, Any]
    is_active: bool
    opted_out: bool
    owner: int = Field(description="The user who added it")
    created_at: datetime
    updated_at: datetime


class ContactsIn(Body):
    """Many contacts at once. Each is checked by itself, and what is wrong with one is no matter of the others."""

    contacts: list[SkipValidation[ContactIn]] = Field(max_length=MAX_BULK)


class RejectedContact(Schema):
    """One that was not written, by its place in the list, counted from 0."""

    index: int
    phone: str = Field(description="As it was given")
    error: str


class BulkOut(Schema):
    """What became of them; the three add up to what was sent."""

    created: int
    updated: int = Field(description="Those that were there, changed or not, and repeats of one in the same call")
    rejected: list[RejectedContact]


def _shown(contact: Contact, tags: list[str] | None = None) -> dict[str, Any]:
    """The values of `ContactOut`; the phone as text, for it is no quantity. Without `tags` they are asked for."""
    derived = {
        "phone": str(contact.phone),
        "owner": contact.owner_id,
        "tags": [tag.name for tag in contact.tags.all()] if tags is None else tags,
    }
    return {name: derived[name] if name in derived else getattr(contact, name) for name in ContactOut.model_fields}


@contacts.get("", response={200: Page[ContactOut], frozenset({401, 422}): Error}, summary="List contacts")
def list_contacts(request: Signed, query: Query[ContactQuery]) -> Any:
    """Everyone's contacts, newest first."""
    filters = query.dict(exclude={"limit", "cursor", "tag"})
    found = Contact.objects.narrow(**filters, tags=[query.tag] if query.tag else [])
    page = keyset(found, query.cursor, query.limit)
    tags = _tags_of(page.items)
    # What the database gave need not be checked again, which would take as long as all the rest.
    items = [ContactOut.model_construct(**_shown(contact, tags[contact.pk])) for contact in page.items]
    return Page[ContactOut].model_construct(items=items, next=page.next)


def _tags_of(contacts: list[Contact]) -> dict[int, list[str]]:
    """The tags of each, in one query; making objects of them would take longer than all the rest of a list."""
    links = Contact.tags.through.objects.filter(contact__in=[contact.pk for contact in contacts])
    found: dict[int, list[str]] = {contact.pk: [] for contact in contacts}
    for pk, name in links.order_by("tag__name").values_list("contact_id", "tag__name"):
        found[pk].append(name)
    return found


@contacts.post("", response={201: ContactOut, frozenset({400, 401, 409, 422}): Error}, summary="Add a contact")
@idempotent
def create_contact(request: Signed, data: ContactIn) -> Any:
    """409 if a contact with this phone exists already, deactivated or not."""
    return Status(201, _shown(contact_create(owner=request.user, source=Source.API, **data.dict(exclude_unset=True))))


@contacts.post("/bulk", response={200: BulkOut, frozenset({400, 401, 422}): Error}, summary="Add or change many")
@idempotent
def upsert_contacts(request: Signed, data: ContactsIn) -> Any:
    """Adds those whose phone is new, and changes of the others what is given, as PATCH does.

    Nobody is brought back by it: `opted_out: false` leaves who has opted out as they are. A contact that somebody else
    added is rejected, as one that breaks a rule is.
    """
    told, refused = _read_rows(data.contacts)
    results = contacts_upsert(by=request.user, rows=list(told.values()), policy=Policy.REPLACE, source=Source.API)
    outcomes = Counter(result.outcome for result in results)
    refused |= {index: _refusal(result) for index, result in zip(told, results, strict=True) if _refusal(result)}
    rejected = [
        {"index": index, "phone": _phone_given(data.contacts[index]), "error": refused[index]}
        for index in sorted(refused)
    ]
    created = outcomes[Outcome.CREATED]
    return {"created": created, "updated": len(data.contacts) - created - len(rejected), "rejected": rejected}


def _read_rows(rows: list[Any]) -> tuple[dict[int, dict[str, Any]], dict[int, str]]:
    """The rows that have a contact's form, and why the others have not, both by their places."""
    told, refused = {}, {}
    for index, row in enumerate(rows):
        try:
            given = ContactIn.model_validate(row)
            told[index] = {name: getattr(given, name) for name in given.model_fields_set}
        except SchemaError as error:
            told_of = [(".".join(map(str, each["loc"])), each["msg"]) for each in error.errors()]
            refused[index] = "; ".join(": ".join(filter(None, parts)) for parts in told_of)
    return told, refused


def _refusal(result: Result) -> str:
    """Why a contact was not written, or nothing."""
    if result.outcome == Outcome.LEFT_ALONE:
        return str(NOT_YOURS)
    return "; ".join(f"{name}: {' '.join(messages)}" for name, messages in result.errors.items())


def _phone_given(row: Any) -> str:
    return str(row.get("phone", ""))[:40] if isinstance(row, dict) else ""


@contacts.get("/{contact_id}", response={200: ContactOut, frozenset({401, 404, 422}): Error}, summary="Read a contact")
def read_contact(request: Signed, contact_id: ContactId) -> Any:
    """Deactivated ones too."""
    return _shown(get_object_or_404(Contact, pk=contact_id))


@contacts.patch(
    "/{contact_id}",
    response={200: ContactOut, frozenset({400, 401, 403, 404, 409, 422}): Error},
    summary="Change a contact",
)
def change_contact(request: Signed, contact_id: ContactId, data: ContactPatch) -> Any:
    """Only whoever added it, or an administrator. `is_active: true` brings a deactivated contact back."""
    contact = get_object_or_404(Contact, pk=contact_id)
    return _shown(contact_update(contact=contact, by=request.user, source=Source.API, **data.dict(exclude_unset=True)))


@contacts.delete(
    "/{contact_id}", response={204: None, frozenset({401, 403, 404, 422}): Error}, summary="Deactivate a contact"
)
def delete_contact(request: Signed, contact_id: ContactId) -> Any:
    """Only whoever added it, or an administrator. It stays readable, and no campaign writes to it any more."""
    contact_deactivate(contact=get_object_or_404(Contact, pk=contact_id), by=request.user)
    return Status(204, None)


@contacts.post(
    "/{contact_id}/erase",
    response={204: None, frozenset({401, 403, 404, 409, 422}): Error},
    summary="Erase a contact",
)
def erase_contact(request: Signed, contact_id: ContactId) -> Any:
    """Forgets the person for good: phone, names, attributes, texts and history; the figures of campaigns stay.

    Only whoever added it, or an administrator. An empty contact is left, deactivated, whose `phone` is its id behind
    a minus sign. A phone that has opted out stays on the suppression list. 409 while a message to it is leaving.
    """
    contact_erase(contact=get_object_or_404(Contact, pk=contact_id), by=request.user)
    return Status(204, None)
