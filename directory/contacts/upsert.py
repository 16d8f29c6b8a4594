"""Bulk writes of contacts for imports, API and commands, with a constant number of statements per batch.

The order of locks prevents deadlocks: first all new phones are inserted in order, and an insert waits only for another
insert; then all existing contacts are locked, in order, too.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from directory import phones
from directory.contacts.attributes import merge
from directory.contacts.policies import may_change_contact_of
from directory.contacts.rules import clean, clean_tags
from directory.fields import DERIVED, DETAILS
from directory.models import Contact, Source, Tag, likely_timezone
from directory.suppression.services import suppressed, sync_opt_outs
from project.core.clock import now
from project.core.sql import execute, fetch, is_among, prefer_index_scans, stamp, table, table_rows

_TABLE: Final = Contact._meta.db_table
_TAGGING_TABLE: Final = Contact.tags.through._meta.db_table
_NEW_COLUMNS: Final = ("phone", *DERIVED, *DETAILS)


class Policy(models.TextChoices):
    """What to do with an existing contact."""

    REPLACE = "replace", _("Set the given fields; replace all tags and attributes")
    UPDATE = "update", _("Update")
    TAG = "tag", _("Add tags only")
    SKIP = "skip", _("Leave unchanged")


class Outcome(models.TextChoices):
    """The result of a row."""

    CREATED = "created", _("Created")
    UPDATED = "updated", _("Updated")
    UNCHANGED = "unchanged", _("Unchanged")
    SKIPPED = "skipped", _("Skipped")
    NOT_OWNED = "not_owned", _("Added by others")
    DUPLICATE = "duplicate", _("Duplicates")
    REJECTED = "rejected", _("Rejected")


_CHANGES: Final = frozenset({Outcome.CREATED, Outcome.UPDATED})


@dataclass(slots=True)
class Result:
    """The result of one row: its contact, the former values, or the errors.

    `before` has the former values of changed fields; `tagged` the names of added tags.
    """

    outcome: Outcome
    contact_id: int | None = None
    before: dict[str, Any] = field(default_factory=dict)
    tagged: list[str] = field(default_factory=list)
    errors: dict[str, list[str]] = field(default_factory=dict)

    def reject(self, error: ValidationError) -> None:
        """Store the errors."""
        self.outcome, self.errors = Outcome.REJECTED, error.message_dict


@dataclass(slots=True)
class _Entry:
    """A phone, the merged values of its rows in the batch, and their results."""

    phone: int
    values: dict[str, Any]
    result: Result
    repeats: list[Result] = field(default_factory=list)

    @property
    def opts_out(self) -> bool:
        """Whether this write opted the contact out."""
        if self.result.outcome == Outcome.CREATED:
            return bool(self.values.get("opted_out"))
        return "opted_out" in self.result.before


@dataclass(frozen=True, slots=True)
class Prepared:
    """Validated rows, merged and ordered by phone."""

    results: list[Result]
    policy: Policy
    batch: dict[int, _Entry]


def contacts_upsert(
    *, by: User, rows: Sequence[Mapping[str, Any]], policy: Policy, source: Source, moment: datetime | None = None
) -> list[Result]:
    """Write contacts by phone, and return the result of each row. An invalid row does not affect the others.

    A row has `phone` and fields of `ContactDetails`; an omitted field keeps its value. Rows with the same phone are
    merged into the first, except under SKIP. Only the owner and administrators change a contact. Opted-out or
    deactivated contacts are never reactivated, and a phone on the suppression list stays opted out. `source` is noted
    for new opt-outs. Every change sets `updated_at` to `moment`.
    """
    return contacts_write(contacts_prepare(rows, policy), by=by, source=source, moment=moment or now())


def contacts_prepare(rows: Sequence[Mapping[str, Any]], policy: Policy) -> Prepared:
    """The part of `contacts_upsert` that needs no database."""
    results: list[Result] = []
    batch: dict[int, _Entry] = {}
    for row in rows:
        result = Result(Outcome.SKIPPED)
        results.append(result)
        try:
            values = clean(row if "phone" in row else {**row, "phone": ""})
            phone = values.pop("phone")
            if phone in batch:
                _merge_row(batch[phone], values, result, policy)
            else:
                batch[phone] = _Entry(phone, values, result)
        except ValidationError as error:
            result.reject(error)
    return Prepared(results, policy, {phone: batch[phone] for phone in sorted(batch)})


def contacts_write(prepared: Prepared, *, by: User, source: Source, moment: datetime) -> list[Result]:
    """The part of `contacts_upsert` that writes."""
    remaining = prepared.batch
    with transaction.atomic():
        prefer_index_scans()
        while remaining:  # once, unless another process removes a contact meanwhile
            remaining = _Writer(by, prepared.policy, moment).write(remaining)
        changed_entries = [entry for entry in prepared.batch.values() if entry.result.outcome in _CHANGES]
        if changed_entries:
            opted_out = [entry.phone for entry in changed_entries if entry.opts_out]
            sync_opt_outs([entry.phone for entry in changed_entries], opted_out=opted_out, by=by, source=source)
    for entry in prepared.batch.values():
        if entry.result.outcome in (Outcome.NOT_OWNED, Outcome.REJECTED):
            for repeat in entry.repeats:
                repeat.outcome, repeat.errors = entry.result.outcome, entry.result.errors
    return prepared.results


def _merge_row(entry: _Entry, values: dict[str, Any], result: Result, policy: Policy) -> None:
    """Merge another row of the same phone into the first."""
    if policy != Policy.SKIP:
        entry.values = {**entry.values, **(values if policy == Policy.REPLACE else _merged(entry.values, values))}
    result.outcome = Outcome.DUPLICATE
    entry.repeats.append(result)


def _merged(existing: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Return the values, with tags and attributes merged into existing ones. ValidationError above the limits."""
    merged = dict(values)
    for name, combine in _COMBINE.items():
        if existing.get(name) and name in values:
            try:
                merged[name] = combine(existing[name], values[name])
            except ValidationError as error:
                raise ValidationError({name: error}) from error
    return merged


_COMBINE: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "tags": lambda existing, values: clean_tags([*existing, *values]),
    "attributes": merge,
}


class _Writer:
    """One pass over a batch. Inserts, changes and tags take one statement each."""

    def __init__(self, by: User, policy: Policy, moment: datetime) -> None:
        self.by, self.policy, self.moment = by, policy, moment
        self.changed: list[list[Any]] = []
        self.tagged: list[tuple[int, str]] = []
        self.untagged: list[int] = []

    def write(self, batch: dict[int, _Entry]) -> dict[int, _Entry]:
        """Create and change contacts; return those that vanished meanwhile."""
        existing = set(Contact.objects.filter(is_among("phone", batch)).values_list("phone", flat=True))
        self._create([entry for phone, entry in batch.items() if phone not in existing])
        remaining = {phone: entry for phone, entry in batch.items() if entry.result.outcome == Outcome.SKIPPED}
        if remaining and self.policy != Policy.SKIP:
            for contact in _locked(remaining):
                self._change(contact, remaining.pop(contact["phone"]))
        _store(self.changed, self.moment)
        self._untag()
        self._tag()
        return {} if self.policy == Policy.SKIP else remaining

    def _create(self, batch: list[_Entry]) -> None:
        """Insert contacts with new phones. A contact that another process inserts first counts as existing."""
        if not batch:
            return
        by_phone = {entry.phone: entry for entry in batch}
        columns = ", ".join(_NEW_COLUMNS)
        statement = (
            f"WITH {table(Contact, 'fresh', _NEW_COLUMNS)} "  # noqa: S608
            f"INSERT INTO {_TABLE} ({columns}, owner_id, created_at, updated_at) "
            f"SELECT {columns}, %s, %s, %s FROM fresh WHERE true ON CONFLICT (phone) DO NOTHING RETURNING id, phone"
        )
        moment = stamp(self.moment)
        for pk, phone in fetch(statement, [*table_rows(map(_new_row, batch)), self.by.pk, moment, moment]):
            entry = by_phone[phone]
            entry.result.outcome, entry.result.contact_id = Outcome.CREATED, pk
            self.tagged.extend((pk, name) for name in entry.values.get("tags", ()))

    def _change(self, contact: dict[str, Any], entry: _Entry) -> None:
        """Compare a contact with its new values, and collect what to write."""
        result, values = entry.result, entry.values
        result.contact_id = contact["id"]
        if not may_change_contact_of(self.by, owner_id=contact["owner_id"], phone=contact["phone"]):
            result.outcome = Outcome.NOT_OWNED
            return
        if self.policy == Policy.TAG:
            values = {"tags": values.get("tags", ())}
        try:
            values = values if self.policy == Policy.REPLACE else _merged(contact, values)
        except ValidationError as error:
            result.reject(error)
            return
        values = _without_reactivation(contact, values)
        result.before = {
            name: contact[name] for name in DETAILS.keys() & values.keys() if values[name] != contact[name]
        }
        result.tagged = [name for name in values.get("tags", ()) if name not in contact["tags"]]
        removed = contact["tags"].keys() - values.get("tags", contact["tags"])
        result.outcome = Outcome.UPDATED if result.before or result.tagged or removed else Outcome.UNCHANGED
        if result.outcome == Outcome.UPDATED:
            self.changed.append([contact["id"], *(values.get(name, contact[name]) for name in DETAILS)])
            self.tagged.extend((contact["id"], name) for name in result.tagged)
            self.untagged.extend(contact["tags"][name] for name in removed)

    def _untag(self) -> None:
        if self.untagged:
            Contact.tags.through.objects.filter(is_among("id", self.untagged)).delete()

    def _tag(self) -> None:
        if not self.tagged:
            return
        tags = _tag_ids({name for _, name in self.tagged})
        pairs = sorted((contact_id, tags[name]) for contact_id, name in self.tagged)
        statement = (
            f"WITH {table(Contact.tags.through, 'given', ('contact_id', 'tag_id'))} "  # noqa: S608
            f"INSERT INTO {_TAGGING_TABLE} (contact_id, tag_id) SELECT contact_id, tag_id FROM given WHERE true "
            "ON CONFLICT DO NOTHING"
        )
        execute(statement, [*table_rows(pairs)])


def contacts_restore(values: Mapping[int, tuple[dict[str, Any], list[str]]], moment: datetime) -> None:
    """Restore former field values and remove added tags, by contact id, from the `before` and `tagged` of results.

    A contact whose phone is on the suppression list stays opted out, because several users may have requested that. The
    caller locks the contacts and checks permissions.
    """
    rows = list(Contact.objects.filter(is_among("id", values)).values("id", "phone", *DETAILS))
    suppressed_phones = suppressed([row["phone"] for row in rows])
    former = [
        row | values[row["id"]][0] | ({"opted_out": True} if row["phone"] in suppressed_phones else {}) for row in rows
    ]
    _store([[row["id"], *(row[name] for name in DETAILS)] for row in former], moment)
    taggings = Contact.tags.through.objects.filter(is_among("contact_id", [pk for pk in values if values[pk][1]]))
    removed = [
        pk
        for pk, contact_id, name in taggings.values_list("pk", "contact_id", "tag__name")
        if name in values[contact_id][1]
    ]
    Contact.tags.through.objects.filter(is_among("id", removed)).delete()


def _store(rows: list[list[Any]], moment: datetime) -> None:
    """Set all fields of `DETAILS`, by id."""
    if not rows:
        return
    values = ", ".join(f"{name} = given.{name}" for name in DETAILS)
    statement = (
        f"WITH {table(Contact, 'given', ('id', *DETAILS))} "  # noqa: S608
        f"UPDATE {_TABLE} SET {values}, updated_at = %s FROM given WHERE {_TABLE}.id = given.id"
    )
    execute(statement, [*table_rows(rows), stamp(moment)])


def _new_row(entry: _Entry) -> list[Any]:
    """Return the values of `_NEW_COLUMNS`."""
    values = DETAILS | entry.values | phones.derived(entry.phone)
    values["timezone"] = values["timezone"] or likely_timezone(entry.phone)
    return [entry.phone, *(values[name] for name in (*DERIVED, *DETAILS))]


def _locked(phones: Iterable[int]) -> list[dict[str, Any]]:
    """Lock and return the contacts with these phones; `tags` maps names to ids of taggings."""
    # A weaker lock: the freezing of recipients locks in another order, and only needs the rows to exist.
    rows = Contact.objects.filter(is_among("phone", phones)).select_for_update(no_key=True).order_by("phone")
    contacts = {row["id"]: row | {"tags": {}} for row in rows.values("id", "phone", "owner_id", *DETAILS)}
    taggings = Contact.tags.through.objects.filter(is_among("contact_id", contacts))
    for pk, contact_id, name in taggings.values_list("pk", "contact_id", "tag__name"):
        contacts[contact_id]["tags"][name] = pk
    return list(contacts.values())


def _without_reactivation(contact: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Return the values without those that would reactivate an opted-out or deactivated contact."""
    values = dict(values)
    if "opted_out" in values:
        values["opted_out"] = values["opted_out"] or contact["opted_out"]
    if "is_active" in values:
        values["is_active"] = values["is_active"] and contact["is_active"]
    if values.get("timezone") == "":
        values["timezone"] = likely_timezone(contact["phone"])
    return values


def _tag_ids(names: set[str]) -> dict[str, int]:
    """Return the ids of these tags. New ones are created in order, which prevents deadlocks."""
    contacts = Tag.objects.in_bulk(list(names), field_name="name")
    missing = sorted(names - contacts.keys())
    if missing:
        Tag.objects.bulk_create([Tag(name=name) for name in missing], ignore_conflicts=True)
        contacts |= Tag.objects.in_bulk(missing, field_name="name")
    return {name: tag.pk for name, tag in contacts.items()}
