"""Contacts by the thousand: imports, the API and commands write them here, with a few statements however many they are.

Locks are taken so that two of these can't wait for each other: first all new phones are inserted in order, and an
insert waits for nobody but another insert; then all contacts that were there are locked, in order, too.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from directory import phones
from directory.attributes import merge
from directory.details import clean, clean_tags
from directory.models import Contact, Source, Tag, likely_timezone
from directory.suppression import settle
from project.sql import execute, is_among, look_up, returned, stamp, table, table_rows

_TABLE: Final = Contact._meta.db_table
_TAGGED: Final = Contact.tags.through._meta.db_table
_TOLD: Final[dict[str, Any]] = {
    "first_name": "",
    "last_name": "",
    "timezone": "",
    "attributes": {},
    "opted_out": False,
    "is_active": True,
}
_NEW: Final = ("phone", "operator_code", *_TOLD)


class Policy(models.TextChoices):
    """What becomes of a contact that is there already."""

    REPLACE = "replace", _("Set what is told, tags and attributes as a whole")
    UPDATE = "update", _("Update it")
    TAG = "tag", _("Add tags only")
    SKIP = "skip", _("Leave it as it is")


class Outcome(models.TextChoices):
    """What became of a row."""

    CREATED = "created", _("Created")
    UPDATED = "updated", _("Updated")
    UNCHANGED = "unchanged", _("Unchanged")
    SKIPPED = "skipped", _("Skipped")
    LEFT_ALONE = "left_alone", _("Left alone")
    FOLDED = "folded", _("Repeated")
    REJECTED = "rejected", _("Rejected")


_WRITTEN: Final = frozenset({Outcome.CREATED, Outcome.UPDATED})


@dataclass(slots=True)
class Result:
    """What became of one row: the contact that it speaks of, what that held before, or why the row is rejected.

    `before` holds the fields that were changed, as they were; `tagged` the names of the tags that were added.
    """

    outcome: Outcome
    contact_id: int | None = None
    before: dict[str, Any] = field(default_factory=dict)
    tagged: list[str] = field(default_factory=list)
    errors: dict[str, list[str]] = field(default_factory=dict)

    def reject(self, error: ValidationError) -> None:
        """Keep why."""
        self.outcome, self.errors = Outcome.REJECTED, error.message_dict


@dataclass(slots=True)
class _Wanted:
    """A phone, what the rows of the batch tell of it, and their results."""

    phone: int
    told: dict[str, Any]
    result: Result
    repeats: list[Result] = field(default_factory=list)

    @property
    def opts_out(self) -> bool:
        """Whether it was stored as one who has opted out, and was not there as such."""
        if self.result.outcome == Outcome.CREATED:
            return bool(self.told.get("opted_out"))
        return "opted_out" in self.result.before


@dataclass(frozen=True, slots=True)
class Prepared:
    """Rows that were checked and gathered by phone, in order of phones."""

    results: list[Result]
    policy: Policy
    batch: dict[int, _Wanted]


def contacts_upsert(
    *, by: User, rows: Sequence[Mapping[str, Any]], policy: Policy, source: Source, moment: datetime | None = None
) -> list[Result]:
    """Write contacts by their phones, and tell for each row what became of it. None of the rows can spoil the others.

    A row holds `phone` and what `ContactDetails` may; what it leaves out stays. Of rows with the same phone the later
    ones add to the first, except under SKIP. Only who added a contact or an administrator changes it; nothing that has
    opted out or was deactivated comes back to life, and a phone on the suppression list has opted out, whatever is
    told; `source` is how one that opts out comes onto it. Every change moves `updated_at`, to `moment`.
    """
    return contacts_write(contacts_prepare(rows, policy), by=by, source=source, moment=moment or now())


def contacts_prepare(rows: Sequence[Mapping[str, Any]], policy: Policy) -> Prepared:
    """The first half of `contacts_upsert`: what needs no database."""
    results: list[Result] = []
    batch: dict[int, _Wanted] = {}
    for row in rows:
        result = Result(Outcome.SKIPPED)
        results.append(result)
        try:
            told = clean(row if "phone" in row else {**row, "phone": ""})
            phone = told.pop("phone")
            if phone in batch:
                _fold(batch[phone], told, result, policy)
            else:
                batch[phone] = _Wanted(phone, told, result)
        except ValidationError as error:
            result.reject(error)
    return Prepared(results, policy, {phone: batch[phone] for phone in sorted(batch)})


def contacts_write(prepared: Prepared, *, by: User, source: Source, moment: datetime) -> list[Result]:
    """The second half."""
    left = prepared.batch
    with transaction.atomic():
        look_up()
        while left:  # once, unless somebody removes a contact at this very moment
            left = _Writer(by, prepared.policy, moment).write(left)
        written = [wanted for wanted in prepared.batch.values() if wanted.result.outcome in _WRITTEN]
        if written:
            opted_out = [wanted.phone for wanted in written if wanted.opts_out]
            settle([wanted.phone for wanted in written], opted_out=opted_out, by=by, source=source)
    for wanted in prepared.batch.values():
        if wanted.result.outcome in (Outcome.LEFT_ALONE, Outcome.REJECTED):
            for repeat in wanted.repeats:
                repeat.outcome, repeat.errors = wanted.result.outcome, wanted.result.errors
    return prepared.results


def _fold(wanted: _Wanted, told: dict[str, Any], result: Result, policy: Policy) -> None:
    """Let another row of the same phone add to the first."""
    if policy != Policy.SKIP:
        wanted.told = {**wanted.told, **(told if policy == Policy.REPLACE else _added(wanted.told, told))}
    result.outcome = Outcome.FOLDED
    wanted.repeats.append(result)


def _added(there: Mapping[str, Any], told: dict[str, Any]) -> dict[str, Any]:
    """What is told, tags and attributes together with those that are there; ValidationError if they are too many."""
    added = dict(told)
    for name, together in _TOGETHER.items():
        if there.get(name) and name in told:
            try:
                added[name] = together(there[name], told[name])
            except ValidationError as error:
                raise ValidationError({name: error}) from error
    return added


_TOGETHER: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "tags": lambda there, told: clean_tags([*there, *told]),
    "attributes": merge,
}


class _Writer:
    """One pass over a batch: what it inserts, changes and tags, each with one statement."""

    def __init__(self, by: User, policy: Policy, moment: datetime) -> None:
        self.by, self.policy, self.moment = by, policy, moment
        self.changed: list[list[Any]] = []
        self.tagged: list[tuple[int, str]] = []
        self.untagged: list[int] = []

    def write(self, batch: dict[int, _Wanted]) -> dict[int, _Wanted]:
        """Create and change what can be, and return what has vanished meanwhile."""
        there = set(Contact.objects.filter(is_among("phone", batch)).values_list("phone", flat=True))
        self._create([wanted for phone, wanted in batch.items() if phone not in there])
        left = {phone: wanted for phone, wanted in batch.items() if wanted.result.outcome == Outcome.SKIPPED}
        if left and self.policy != Policy.SKIP:
            for contact in _locked(left):
                self._change(contact, left.pop(contact["phone"]))
        _store(self.changed, self.moment)
        self._untag()
        self._tag()
        return {} if self.policy == Policy.SKIP else left

    def _create(self, batch: list[_Wanted]) -> None:
        """Insert those whose phone nobody has; where somebody else is quicker, the contact is there."""
        if not batch:
            return
        by_phone = {wanted.phone: wanted for wanted in batch}
        columns = ", ".join(_NEW)
        statement = (
            f"WITH {table(Contact, 'fresh', _NEW)} "  # noqa: S608
            f"INSERT INTO {_TABLE} ({columns}, owner_id, created_at, updated_at) "
            f"SELECT {columns}, %s, %s, %s FROM fresh WHERE true ON CONFLICT (phone) DO NOTHING RETURNING id, phone"
        )
        moment = stamp(self.moment)
        for pk, phone in returned(statement, [*table_rows(map(_new, batch)), self.by.pk, moment, moment]):
            wanted = by_phone[phone]
            wanted.result.outcome, wanted.result.contact_id = Outcome.CREATED, pk
            self.tagged.extend((pk, name) for name in wanted.told.get("tags", ()))

    def _change(self, contact: dict[str, Any], wanted: _Wanted) -> None:
        """Compare a contact with what is told of it, and remember what is to be written."""
        result, told = wanted.result, wanted.told
        result.contact_id = contact["id"]
        if not (self.by.is_staff or contact["owner_id"] == self.by.pk):
            result.outcome = Outcome.LEFT_ALONE
            return
        if self.policy == Policy.TAG:
            told = {"tags": told.get("tags", ())}
        try:
            told = told if self.policy == Policy.REPLACE else _added(contact, told)
        except ValidationError as error:
            result.reject(error)
            return
        told = _guarded(contact, told)
        result.before = {name: contact[name] for name in _TOLD.keys() & told.keys() if told[name] != contact[name]}
        result.tagged = [name for name in told.get("tags", ()) if name not in contact["tags"]]
        lost = contact["tags"].keys() - told.get("tags", contact["tags"])
        result.outcome = Outcome.UPDATED if result.before or result.tagged or lost else Outcome.UNCHANGED
        if result.outcome == Outcome.UPDATED:
            self.changed.append([contact["id"], *(told.get(name, contact[name]) for name in _TOLD)])
            self.tagged.extend((contact["id"], name) for name in result.tagged)
            self.untagged.extend(contact["tags"][name] for name in lost)

    def _untag(self) -> None:
        if self.untagged:
            Contact.tags.through.objects.filter(is_among("id", self.untagged)).delete()

    def _tag(self) -> None:
        if not self.tagged:
            return
        tags = _tag_ids({name for _, name in self.tagged})
        pairs = sorted((contact_id, tags[name]) for contact_id, name in self.tagged)
        statement = (
            f"WITH {table(Contact.tags.through, 'told', ('contact_id', 'tag_id'))} "  # noqa: S608
            f"INSERT INTO {_TAGGED} (contact_id, tag_id) SELECT contact_id, tag_id FROM told WHERE true "
            "ON CONFLICT DO NOTHING"
        )
        execute(statement, [*table_rows(pairs)])


def contacts_restore(values: Mapping[int, tuple[dict[str, Any], list[str]]], moment: datetime) -> None:
    """Set fields of contacts, by id, back to what they were, and take tags off: a `Result`'s `before` and `tagged`.

    The caller has locked them, and answers for who may do this.
    """
    rows = Contact.objects.filter(is_among("id", values)).values("id", *_TOLD)
    _store([[row["id"], *(values[row["id"]][0].get(name, row[name]) for name in _TOLD)] for row in rows], moment)
    ties = Contact.tags.through.objects.filter(is_among("contact_id", [pk for pk in values if values[pk][1]]))
    lost = [pk for pk, of, name in ties.values_list("pk", "contact_id", "tag__name") if name in values[of][1]]
    Contact.tags.through.objects.filter(is_among("id", lost)).delete()


def _store(rows: list[list[Any]], moment: datetime) -> None:
    """Set all fields of `_TOLD`, by id."""
    if not rows:
        return
    values = ", ".join(f"{name} = told.{name}" for name in _TOLD)
    statement = (
        f"WITH {table(Contact, 'told', ('id', *_TOLD))} "  # noqa: S608
        f"UPDATE {_TABLE} SET {values}, updated_at = %s FROM told WHERE {_TABLE}.id = told.id"
    )
    execute(statement, [*table_rows(rows), stamp(moment)])


def _new(wanted: _Wanted) -> list[Any]:
    """The values of `_NEW`."""
    told = _TOLD | wanted.told
    told["timezone"] = told["timezone"] or likely_timezone(wanted.phone)
    return [wanted.phone, phones.operator_code(wanted.phone), *(told[name] for name in _TOLD)]


def _locked(phones: Iterable[int]) -> list[dict[str, Any]]:
    """The contacts that have these phones, with their tags: names to the ids of the rows that tie them."""
    # Who freezes the recipients of a campaign goes another way through them, and needs only that they stay.
    rows = Contact.objects.filter(is_among("phone", phones)).select_for_update(no_key=True).order_by("phone")
    found = {row["id"]: row | {"tags": {}} for row in rows.values("id", "phone", "owner_id", *_TOLD)}
    ties = Contact.tags.through.objects.filter(is_among("contact_id", found))
    for pk, contact_id, name in ties.values_list("pk", "contact_id", "tag__name"):
        found[contact_id]["tags"][name] = pk
    return list(found.values())


def _guarded(contact: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
    """What is told, but for what would bring back who has opted out or was deactivated."""
    told = dict(told)
    if "opted_out" in told:
        told["opted_out"] = told["opted_out"] or contact["opted_out"]
    if "is_active" in told:
        told["is_active"] = told["is_active"] and contact["is_active"]
    if told.get("timezone") == "":
        told["timezone"] = likely_timezone(contact["phone"])
    return told


def _tag_ids(names: set[str]) -> dict[str, int]:
    """The ids of these tags; new ones are made, in order, so that two of these can't wait for each other."""
    found = Tag.objects.in_bulk(list(names), field_name="name")
    missing = sorted(names - found.keys())
    if missing:
        Tag.objects.bulk_create([Tag(name=name) for name in missing], ignore_conflicts=True)
        found |= Tag.objects.in_bulk(missing, field_name="name")
    return {name: tag.pk for name, tag in found.items()}
