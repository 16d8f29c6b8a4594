"""Queries of contacts: audiences, lists, search."""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import connection, models
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Cast, Lower

from directory import phones
from directory.audiences.audience import CONTAINS, EXISTS, NEVER, WITHIN, Audience, Condition, LastContactedFilter
from directory.contacts.policies import changeable_contacts, unchangeable_contacts
from directory.models.last_contacted import LastContacted
from directory.models.suppression import Suppression
from directory.models.tag import Tag, Tagging
from directory.tags.names import tag_name
from project.core import clock

if TYPE_CHECKING:
    from directory.models.contact import Contact  # noqa: F401 - the type of the rows

_MIN_INDEXED_LETTERS = 3


class ContactFilters(TypedDict, total=False):
    """Exact filters of a list of contacts. All given filters must match."""

    phone: int | str | None
    operator_code: str | None
    country: str | None
    timezone: str | None
    owner: int | None
    is_active: bool | None
    opted_out: bool | None


class ContactQuerySet(models.QuerySet["Contact"]):
    """Selections of contacts."""

    def contactable(self) -> "ContactQuerySet":
        """Return contacts that may be contacted: active and not opted out."""
        return self.filter(is_active=True, opted_out=False)

    def not_contactable(self) -> "ContactQuerySet":
        """Return contacts that must not be contacted."""
        return self.filter(Q(is_active=False) | Q(opted_out=True) | Q(_suppressed()))

    def not_suppressed(self) -> "ContactQuerySet":
        """Return contacts whose phone is not on the suppression list. Checked again before a message is sent.

        `opted_out` says the same and is used to count audiences, but a contact that is added while its phone is
        suppressed might miss it.
        """
        return self.filter(~_suppressed())

    def matching(self, audience: Audience, *, among_few: bool = False) -> "ContactQuerySet":
        """Return contacts that an audience selects.

        `among_few`: the contacts are narrowed by id, so the query need not tell the planner how frequent tags are.
        Then it does not depend on the ids of tags.
        """
        contacts, tagged = self, _tagged_by_name if among_few else _tagged
        if audience.operator_codes:
            contacts = contacts.filter(operator_code__in=audience.operator_codes)
        if audience.timezones:
            contacts = contacts.filter(timezone__in=audience.timezones)
        if audience.countries:
            contacts = contacts.filter(country__in=audience.countries)
        if audience.tags_match == "all":
            for name in audience.tags:
                contacts = contacts.filter(tagged([name]))
        elif audience.tags:
            contacts = contacts.filter(tagged(audience.tags))
        if audience.tags_none:
            contacts = contacts.filter(~tagged(audience.tags_none))
        for condition in audience.attributes:
            contacts = contacts.filter(_attribute(condition))
        return contacts.filter(_last_contacted(audience.last_contacted)) if audience.last_contacted else contacts

    def narrow(
        self,
        *,
        tags: Iterable[str] = (),
        q: str | None = None,
        added_from: datetime | str | None = None,
        added_before: datetime | str | None = None,
        before_id: int | None = None,
        **exact: Unpack[ContactFilters],
    ) -> "ContactQuerySet":
        """Apply the filters of lists of contacts. Empty filters do not narrow. One of several tags suffices.

        `before_id` limits ids.
        """
        contacts = self.filter(**{name: value for name, value in exact.items() if value not in (None, "")})
        if names := [tag_name(name) for name in tags]:
            before_id = _newest_tagged(names) + 1 if before_id is None else before_id
            contacts = contacts.filter(_tagged(names, contact__lt=before_id))
        if before_id is not None:
            contacts = contacts.filter(pk__lt=before_id)
        if added_from:
            contacts = contacts.filter(created_at__gte=added_from)
        if added_before:
            contacts = contacts.filter(created_at__lt=added_before)
        return contacts.search(q) if q else contacts

    def search(self, text: str) -> "ContactQuerySet":
        """Return contacts whose name has every word of `text`, and whose phone has its digits.

        A word of one or two letters must begin a name, because indexes find only longer parts. Signs match nothing.
        """
        words = text.split()
        names = [word for word in words if any(map(str.isalpha, word))]
        others = "".join(word for word in words if word not in names)
        if others and not phones.is_searchable(others):
            return self.none()
        contacts = self
        for name in names:
            contacts = contacts.filter(_mentions(name if len(name) >= _MIN_INDEXED_LETTERS else f" {name}"))
        digits = Q()
        for variant in phones.search_variants(others):
            digits |= _mentions(variant)
        return contacts.filter(digits)

    def changeable_by(self, user: AbstractBaseUser) -> "ContactQuerySet":
        """Return contacts that the user may change."""
        return self.filter(changeable_contacts(user))

    def unchangeable_by(self, user: AbstractBaseUser) -> "ContactQuerySet":
        """Return contacts that the user may not change."""
        return self.filter(unchangeable_contacts(user))


def _mentions(text: str) -> Q:
    """Match a part of name and phone. SQLite's LIKE ignores case for ASCII only, so it uses a regular expression."""
    if connection.vendor == "postgresql":
        return Q(search__contains=text.lower())
    return Q(search__iregex=re.escape(text))


def _suppressed() -> Exists:
    return Exists(Suppression.objects.filter(phone=OuterRef("phone")))


def _tagged(names: Iterable[str], **bounds: int) -> Exists:
    """Match contacts with one of the tags. Ids are read first, so that the planner knows how frequent each is."""
    ids = sorted(Tag.objects.filter(name__in=names).values_list("pk", flat=True))
    taggings = Tagging.objects.filter(contact=OuterRef("pk"), **bounds)
    return Exists(taggings.filter(tag=ids[0]) if len(ids) == 1 else taggings.filter(tag__in=ids or [0]))


def _tagged_by_name(names: Iterable[str]) -> Exists:
    """Match the same, in one query."""
    tags = Tag.objects.filter(name__in=names).values("pk")
    return Exists(Tagging.objects.filter(contact=OuterRef("pk"), tag__in=tags))


def _newest_tagged(names: Iterable[str]) -> int:
    """Return the highest id of a contact with one of the tags, so that a list skips newer contacts."""
    newest = Tagging.objects.order_by("-contact_id").values_list("contact_id", flat=True)
    ids = Tag.objects.filter(name__in=names).values_list("pk", flat=True)
    return max((newest.filter(tag=tag)[:1].get() for tag in ids if newest.filter(tag=tag).exists()), default=0)


def _attribute(condition: Condition) -> Q:
    """Match an attribute by its text, whatever its type, ignoring case."""
    if condition.match == EXISTS:
        return Q(attributes__has_key=condition.name)
    text = models.fields.json.KeyTextTransform(condition.name, "attributes")
    if connection.vendor == "postgresql":
        lookup = "contains" if condition.match == CONTAINS else "exact"
        return Q(_lookup(lookup)(Lower(text, output_field=models.TextField()), condition.value.lower()))
    pattern = re.escape(condition.value) if condition.match == CONTAINS else f"^{re.escape(condition.value)}$"
    return Q(_lookup("iregex")(Cast(text, models.TextField()), pattern))


def _lookup(name: str) -> Any:
    return models.TextField().get_lookup(name)


def _last_contacted(condition: LastContactedFilter) -> Q:
    """Match by last contact. See `LastContacted` for how current that is."""
    entries = LastContacted.objects.filter(contact=OuterRef("pk"))
    if condition.when == NEVER:
        return ~Q(Exists(entries))
    recently = Q(Exists(entries.filter(at__gte=clock.now() - timedelta(days=condition.days))))
    return recently if condition.when == WITHIN else ~recently
