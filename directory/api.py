"""`/contacts` of the JSON API."""

from collections import Counter
from datetime import datetime
from typing import Annotated, Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from ninja import Field, Path, Query, Router, Schema, Status
from pydantic import SkipValidation
from pydantic import ValidationError as SchemaError

from accounts.api_access.idempotency import idempotent
from accounts.audit_api import AuditEntry, entry_out
from accounts.optimistic_locking import IfMatch, Version, expected, version_of, with_etag
from directory import phones
from directory.contacts.attributes import MAX_ATTRIBUTES
from directory.contacts.data_export import contact_data
from directory.contacts.erasure import contact_erase
from directory.contacts.rules import MAX_TAGS
from directory.contacts.services import contact_create, contact_deactivate, contact_update
from directory.contacts.upsert import Outcome, Policy, Result, contacts_upsert
from directory.models import Contact, Source
from directory.schemas import ContactFilters, CountryCode, Name, OperatorCode, Phone, Zone
from directory.suppression.api import SuppressionOut, suppression_out
from project.http.body import Body, Error, Flag, Line
from project.http.client import UserRequest
from project.http.paging import ListQuery, Page, keyset

MAX_BULK = 10_000

contacts = Router(tags=["contacts"])

ContactId = Annotated[int, Path(ge=1, le=2**63 - 1)]


class ContactQuery(ContactFilters, ListQuery):
    """Filters of the list. All given filters must match."""


class ContactDetails(Body):
    """The fields of a contact besides its phone. Default factories keep defaults out of the schema of PATCH."""

    operator_code: OperatorCode | None = Field(None, description="Derived; refused if it contradicts the phone")
    country: CountryCode | None = Field(
        None, description="Derived; refused if it contradicts the phone. Says how to read a phone without a plus"
    )
    first_name: Name = Field(default_factory=str)
    last_name: Name = Field(default_factory=str)
    tags: list[Line] = Field(default_factory=list, max_length=MAX_TAGS, description="Kept in lower case")
    timezone: Zone | None = Field(None, description="IANA name; null: the phone's, else the installation's")
    attributes: dict[str, str | int | float | bool] = Field(
        default_factory=dict,
        max_length=MAX_ATTRIBUTES,
        description="Flat: names (letters, digits, underscores) to texts, numbers or booleans",
    )
    opted_out: Flag = Field(default_factory=bool, description="Must not receive messages")


class ContactIn(ContactDetails):
    """A new contact."""

    phone: Phone


class ContactPatch(ContactDetails):
    """Changes; an omitted field keeps its value. Tags and attributes are replaced as a whole."""

    phone: Phone = Field(default_factory=str)
    is_active: Flag = Field(default_factory=bool)
    version: Version = Field(default_factory=str)


class ContactOut(Schema):
    """A contact."""

    id: int
    phone: str = Field(examples=["79991234567"])
    country: str = Field(examples=["RU"], description="ISO 3166 code, by the phone's numbering plan; may be empty")
    line_type: str = Field(examples=["mobile"], description="`mobile`, `fixed`, `toll_free` or `other`, by the same")
    operator_code: str = Field(examples=["999"], description="The three digits after the 7; empty in other plans")
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
    version: str = Field(description="Changes with what can be edited; see `If-Match`")


class ContactMessage(Schema):
    """A message to the contact."""

    id: int
    campaign: int | None
    status: str
    reason: str
    text: str = Field(description="The text as sent; empty before the first attempt")
    phone: str
    provider_ids: list[str] = Field(description="The provider's own ids of the message")
    due_at: datetime
    changed_at: datetime


class ContactIncoming(Schema):
    """A message from the contact."""

    id: int
    gateway: str = Field(description="The gateway that received it")
    provider_id: str = Field(description="The provider's id of it; may be empty")
    sender: str = Field(description="The sender as the gateway has it")
    recipient: str = Field(description="The number or name to which it was sent; may be empty")
    text: str = Field(description="The text as received")
    sent_at: datetime | None = Field(description="When it was sent; null: the gateway does not say")
    received_at: datetime = Field(description="When Vestnik got it")
    action: str = Field(description="What its keyword asks for: `stop`, `start` or `help`; may be empty")


class ContactData(Schema):
    """Everything that is stored about a person."""

    contact: ContactOut = Field(description="The contact's fields")
    suppression: SuppressionOut | None = Field(description="The entry on the opt-out list; null: none")
    last_contacted_at: datetime | None = Field(description="When the latest message was accepted; null: never")
    changes: list[AuditEntry] = Field(description="Who changed the contact, newest first")
    messages: list[ContactMessage] = Field(description="All messages to the contact, newest first")
    incoming: list[ContactIncoming] = Field(description="All messages from the contact, newest first")


class ContactsIn(Body):
    """Many contacts at once. Each is validated separately, so that one error does not reject the others."""

    contacts: list[SkipValidation[ContactIn]] = Field(max_length=MAX_BULK)


class RejectedContact(Schema):
    """A contact that was not written; `index` is its position in the list, from 0."""

    index: int
    phone: str = Field(description="As given")
    error: str


class BulkOut(Schema):
    """The result; the three numbers add up to the number of contacts in the request."""

    created: int
    updated: int = Field(description="Existing contacts, changed or not, and repeats within the request")
    rejected: list[RejectedContact]


def contact_out(contact: Contact, tags: list[str] | None = None) -> dict[str, Any]:
    """Return the values of `ContactOut`. The phone is text, because it is not a quantity. Reads tags if not given."""
    names = [tag.name for tag in contact.tags.all()] if tags is None else tags
    derived = {
        "phone": str(contact.phone),
        "owner": contact.owner_id,
        "tags": names,
        "version": version_of(contact, tags=sorted(names)),
    }
    if not contact.line_type:  # see `directory.contacts.derivation`
        derived |= phones.derived(contact.phone)
    return {name: derived[name] if name in derived else getattr(contact, name) for name in ContactOut.model_fields}


@contacts.get("", response={200: Page[ContactOut], frozenset({401, 422}): Error}, summary="List contacts")
def list_contacts(request: UserRequest, query: Query[ContactQuery]) -> Any:
    """All users' contacts, newest first."""
    page = keyset(query.matching(), query.cursor, query.limit)
    tags = tags_of(page.items)
    # Values from the database are not validated again, which would take as long as everything else.
    items = [ContactOut.model_construct(**contact_out(contact, tags[contact.pk])) for contact in page.items]
    return Page[ContactOut].model_construct(items=items, next=page.next)


def tags_of(contacts: list[Contact]) -> dict[int, list[str]]:
    """Return the tags of each contact with one query. Model instances would take longer than the rest of a list."""
    links = Contact.tags.through.objects.filter(contact__in=[contact.pk for contact in contacts])
    matching: dict[int, list[str]] = {contact.pk: [] for contact in contacts}
    for pk, name in links.order_by("tag__name").values_list("contact_id", "tag__name"):
        matching[pk].append(name)
    return matching


@contacts.post("", response={201: ContactOut, frozenset({400, 401, 409, 422}): Error}, summary="Add a contact")
@idempotent
def create_contact(request: UserRequest, data: ContactIn) -> Any:
    """409 if a contact with this phone exists, deactivated or not."""
    return Status(
        201, contact_out(contact_create(owner=request.user, source=Source.API, **data.dict(exclude_unset=True)))
    )


@contacts.post("/bulk", response={200: BulkOut, frozenset({400, 401, 422}): Error}, summary="Add or change many")
@idempotent
def upsert_contacts(request: UserRequest, data: ContactsIn) -> Any:
    """Adds contacts whose phone is new, and changes the given fields of the others, like PATCH.

    It reactivates nobody: `opted_out: false` does not change a contact that has opted out. A contact that another user
    added is rejected, as is one that breaks a rule.
    """
    valid, errors = _read_rows(data.contacts)
    results = contacts_upsert(by=request.user, rows=list(valid.values()), policy=Policy.REPLACE, source=Source.API)
    outcomes = Counter(result.outcome for result in results)
    errors |= {
        index: _rejection_reason(result)
        for index, result in zip(valid, results, strict=True)
        if _rejection_reason(result)
    }
    rejected = [
        {"index": index, "phone": _given_phone(data.contacts[index]), "error": errors[index]}
        for index in sorted(errors)
    ]
    created = outcomes[Outcome.CREATED]
    return {"created": created, "updated": len(data.contacts) - created - len(rejected), "rejected": rejected}


def _read_rows(rows: list[Any]) -> tuple[dict[int, dict[str, Any]], dict[int, str]]:
    """Split rows by position into valid ones and the errors of the others."""
    valid, errors = {}, {}
    for index, row in enumerate(rows):
        try:
            contact = ContactIn.model_validate(row)
            valid[index] = {name: getattr(contact, name) for name in contact.model_fields_set}
        except SchemaError as error:
            problems = [(".".join(map(str, each["loc"])), each["msg"]) for each in error.errors()]
            errors[index] = "; ".join(": ".join(filter(None, parts)) for parts in problems)
    return valid, errors


def _rejection_reason(result: Result) -> str:
    """Return why a contact was not written, or an empty string."""
    if result.outcome == Outcome.NOT_OWNED:
        return str(Contact.NOT_YOURS)
    return "; ".join(f"{name}: {' '.join(messages)}" for name, messages in result.errors.items())


def _given_phone(row: Any) -> str:
    return str(row.get("phone", ""))[:40] if isinstance(row, dict) else ""


@contacts.get("/{contact_id}", response={200: ContactOut, frozenset({401, 404, 422}): Error}, summary="Read a contact")
def read_contact(request: UserRequest, response: HttpResponse, contact_id: ContactId) -> Any:
    """Also returns deactivated contacts."""
    return contact_out(with_etag(response, get_object_or_404(Contact, pk=contact_id)))


@contacts.patch(
    "/{contact_id}",
    response={200: ContactOut, frozenset({400, 401, 403, 404, 409, 412, 422}): Error},
    summary="Change a contact",
)
def change_contact(
    request: UserRequest, response: HttpResponse, contact_id: ContactId, data: ContactPatch, if_match: IfMatch = None
) -> Any:
    """Only the owner and administrators may. `is_active: true` reactivates a deactivated contact.

    With `version` or `If-Match`, the contact is changed only if nobody has changed it meanwhile.
    """
    contact, changes = get_object_or_404(Contact, pk=contact_id), data.dict(exclude_unset=True)
    version = expected(if_match, changes.pop("version", None))
    updated_contact = contact_update(contact=contact, by=request.user, source=Source.API, version=version, **changes)
    return contact_out(with_etag(response, updated_contact))


@contacts.delete(
    "/{contact_id}", response={204: None, frozenset({401, 403, 404, 422}): Error}, summary="Deactivate a contact"
)
def delete_contact(request: UserRequest, contact_id: ContactId) -> Any:
    """Only the owner and administrators may. The contact stays readable, and no campaign sends to it any more."""
    contact_deactivate(contact=get_object_or_404(Contact, pk=contact_id), by=request.user)
    return Status(204, None)


@contacts.get(
    "/{contact_id}/data",
    response={200: ContactData, frozenset({401, 403, 404, 409, 422}): Error},
    summary="Export a contact's data",
)
def read_contact_data(request: UserRequest, contact_id: ContactId) -> Any:
    """Everything that is stored about a person, to answer their request. Only the owner and administrators may.

    409 if the contact was erased.
    """
    contact = get_object_or_404(Contact, pk=contact_id)
    data = contact_data(contact=contact, by=request.user)
    listed = data["suppression"]
    return {
        **data,
        "contact": contact_out(contact),
        "suppression": listed and suppression_out(listed),
        "changes": [entry_out(entry) for entry in data["changes"]],
    }


@contacts.post(
    "/{contact_id}/erase",
    response={204: None, frozenset({401, 403, 404, 409, 422}): Error},
    summary="Erase a contact",
)
def erase_contact(request: UserRequest, contact_id: ContactId) -> Any:
    """Permanently deletes a person's data: phone, names, attributes, texts and history. Campaign figures remain.

    Only the owner and administrators may. An empty, deactivated contact remains, whose `phone` is its negative id. A
    phone that has opted out stays on the suppression list. 409 while a message to the contact is being sent.
    """
    contact_erase(contact=get_object_or_404(Contact, pk=contact_id), by=request.user)
    return Status(204, None)
