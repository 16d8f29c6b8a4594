"""Contact and Tag, and the filters over them."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.db.models.functions import Cast
from django.utils.translation import gettext_lazy as _

from accounts.models import default_timezone, validate_person_name, validate_timezone
from directory import phones
from directory.attributes import validate_attributes
from directory.imports.models import Import  # noqa: F401 - Django looks for models here

MAX_TAG_LENGTH = 50


@dataclass(frozen=True)
class Audience:
    """Which contacts a campaign is for; an empty list does not narrow. Sorted, so that equals compare equal."""

    operator_codes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    tags_match: str = "any"
    timezones: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Audience":
        """From the JSON of a campaign, each list sorted and without repeats, tags as they are kept."""

        def names(key: str) -> set[str]:
            return set(data.get(key) or [])

        return cls(
            operator_codes=tuple(sorted(names("operator_codes"))),
            tags=tuple(sorted({tag_name(name) for name in names("tags")})),
            tags_match=data.get("tags_match") or "any",
            timezones=tuple(sorted(names("timezones"))),
        )

    def to_json(self) -> dict[str, Any]:
        """As the contract's JSON."""
        return {
            "operator_codes": list(self.operator_codes),
            "tags": list(self.tags),
            "tags_match": self.tags_match,
            "timezones": list(self.timezones),
        }


def tag_name(written: str) -> str:
    """A tag as it is kept: lower case, no spaces around it, so that `VIP ` and `vip` are one."""
    return unicodedata.normalize("NFC", " ".join(written.lower().split()))


def validate_tag_name(name: str) -> None:
    """Refuse what a form could not show again, or a database could not keep."""
    if not name:
        raise ValidationError(_("A tag can't be empty."))
    if len(name) > MAX_TAG_LENGTH:
        raise ValidationError(_("A tag has at most %(n)d characters."), params={"n": MAX_TAG_LENGTH})
    if "," in name or not name.isprintable():
        raise ValidationError(_("A tag can't hold commas or invisible characters."))


def likely_timezone(phone: int) -> str:
    """The time zone of a contact that tells none: the phone's, if it tells one, else the installation's."""
    return phones.timezone_of(phone) or default_timezone()


class Tag(models.Model):
    """A word that groups contacts, kept in lower case so that VIP and vip are one."""

    name = models.CharField(_("name"), max_length=MAX_TAG_LENGTH, unique=True, validators=[validate_tag_name])

    class Meta:
        verbose_name = _("tag")
        verbose_name_plural = _("tags")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class ExactFilters(TypedDict, total=False):
    """Fields of a contact that a list can be narrowed by."""

    phone: int | str | None
    operator_code: str | None
    timezone: str | None
    is_active: bool | None
    opted_out: bool | None


class ContactQuerySet(models.QuerySet["Contact"]):
    """Contacts by what can be asked of them."""

    def writable(self) -> "ContactQuerySet":
        """Those who may be written to: active, and not opted out."""
        return self.filter(is_active=True, opted_out=False)

    def unwritable(self) -> "ContactQuerySet":
        """Those who must not be written to."""
        return self.filter(Q(is_active=False) | Q(opted_out=True))

    def matching(self, audience: Audience) -> "ContactQuerySet":
        """Those an audience picks."""
        found = self
        if audience.operator_codes:
            found = found.filter(operator_code__in=audience.operator_codes)
        if audience.timezones:
            found = found.filter(timezone__in=audience.timezones)
        if audience.tags:
            tagged = Contact.tags.through.objects.filter(contact=models.OuterRef("pk"))
            if audience.tags_match == "all":
                for name in audience.tags:
                    found = found.filter(models.Exists(tagged.filter(tag__name=name)))
            else:
                found = found.filter(models.Exists(tagged.filter(tag__name__in=audience.tags)))
        return found

    def narrow(
        self, *, tag: str | None = None, q: str | None = None, **exact: Unpack[ExactFilters]
    ) -> "ContactQuerySet":
        """The filters of every list of contacts; one that is empty does not narrow."""
        found = self.filter(**{name: value for name, value in exact.items() if value not in (None, "")})
        if tag:
            found = found.filter(tags__name=tag_name(tag))
        return found.search(q) if q else found

    def search(self, text: str) -> "ContactQuerySet":
        """Those whose name holds every word of `text`, and whose phone holds its digits."""
        words = text.split()
        names = [word for word in words if any(map(str.isalpha, word))]
        found = self
        for name in names:
            # SQLite's LIKE ignores the case of ASCII letters only; its REGEXP is Python's own.
            pattern = re.escape(name)
            found = found.filter(Q(first_name__iregex=pattern) | Q(last_name__iregex=pattern))
        digits = Q()
        for variant in phones.searched("".join(word for word in words if word not in names)):
            digits |= Q(phone_text__contains=variant)
        return found.annotate(phone_text=Cast("phone", models.CharField())).filter(digits)


class Contact(models.Model):
    """A person by phone. `operator_code` follows from the phone; deleting deactivates."""

    phone = models.BigIntegerField(
        _("phone"),
        unique=True,
        error_messages={"unique": _("A contact with this phone exists already.")},
    )
    operator_code = models.CharField(_("operator code"), max_length=3, editable=False, db_index=True)
    first_name = models.CharField(_("first name"), max_length=150, blank=True, validators=[validate_person_name])
    last_name = models.CharField(_("last name"), max_length=150, blank=True, validators=[validate_person_name])
    tags = models.ManyToManyField(Tag, verbose_name=_("tags"), related_name="contacts", blank=True)
    timezone = models.CharField(
        _("time zone"), max_length=64, default=default_timezone, validators=[validate_timezone], db_index=True
    )
    attributes = models.JSONField(_("attributes"), default=dict, blank=True, validators=[validate_attributes])
    is_active = models.BooleanField(_("active"), default=True)
    opted_out = models.BooleanField(_("opted out"), default=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="contacts",
        verbose_name=_("added by"),
    )
    created_at = models.DateTimeField(_("added"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed"), auto_now=True, db_index=True)

    objects = ContactQuerySet.as_manager()

    class Meta:
        verbose_name = _("contact")
        verbose_name_plural = _("contacts")

    def __str__(self) -> str:
        return self.full_name or phones.pretty(self.phone)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Keep the operator code true to the phone."""
        self.operator_code = phones.operator_code(self.phone)
        super().save(*args, **kwargs)

    @property
    def full_name(self) -> str:
        """First and last name, or nothing."""
        return f"{self.first_name} {self.last_name}".strip()
