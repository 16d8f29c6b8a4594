"""Contact and Tag, and the filters over them."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import default_timezone, validate_person_name, validate_timezone
from directory import phones

MAX_ATTRIBUTES = 50
MAX_ATTRIBUTE_LENGTH = 500


@dataclass(frozen=True)
class Audience:
    """Which contacts a campaign is for; an empty list does not narrow. Sorted, so that equals compare equal."""

    operator_codes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    tags_match: str = "any"
    timezones: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Audience":
        """From the JSON of a campaign, each list sorted and without repeats."""

        def names(key: str) -> tuple[str, ...]:
            return tuple(sorted(set(data.get(key) or [])))

        return cls(names("operator_codes"), names("tags"), data.get("tags_match") or "any", names("timezones"))

    def to_json(self) -> dict[str, Any]:
        """As the contract's JSON."""
        return {
            "operator_codes": list(self.operator_codes),
            "tags": list(self.tags),
            "tags_match": self.tags_match,
            "timezones": list(self.timezones),
        }


def validate_attributes(value: Any) -> None:
    """A flat object of short names to strings, numbers or booleans."""
    if not isinstance(value, dict):
        raise ValidationError(_("Attributes are an object of names and values."))
    if len(value) > MAX_ATTRIBUTES:
        raise ValidationError(_("At most %(n)d attributes."), params={"n": MAX_ATTRIBUTES})
    for name, item in value.items():
        if not phones.ATTRIBUTE_NAME.fullmatch(name):
            raise ValidationError(
                _("“%(name)s” can't name an attribute: use letters, digits and underscores."),
                params={"name": name},
            )
        if not isinstance(item, (str, int, float, bool)):
            raise ValidationError(_("“%(name)s” must be a text, a number or yes/no."), params={"name": name})
        if len(str(item)) > MAX_ATTRIBUTE_LENGTH:
            raise ValidationError(
                _("“%(name)s” is longer than %(n)d characters."),
                params={"name": name, "n": MAX_ATTRIBUTE_LENGTH},
            )


class Tag(models.Model):
    """A word that groups contacts, kept in lower case so that VIP and vip are one."""

    name = models.CharField(_("name"), max_length=50, unique=True)

    class Meta:
        verbose_name = _("tag")
        verbose_name_plural = _("tags")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class ContactQuerySet(models.QuerySet["Contact"]):
    """Contacts by what can be asked of them."""

    def writable(self) -> "ContactQuerySet":
        """Those who may be written to: active, and not opted out."""
        return self.filter(is_active=True, opted_out=False)

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

    def search(self, text: str) -> "ContactQuerySet":
        """Those whose name holds every word of `text`, or whose phone holds its digits."""
        condition = Q()
        for word in text.split():
            condition &= Q(first_name__icontains=word) | Q(last_name__icontains=word)
        digits = phones.digits_of(text)
        if digits:
            found = self.annotate(phone_text=models.functions.Cast("phone", models.CharField()))
            return found.filter(condition | Q(phone_text__contains=digits))
        return self.filter(condition)


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
