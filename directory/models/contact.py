"""A contact: a person, identified by phone."""

from typing import Any, ClassVar, Final

from django.conf import settings
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Cast, Concat, Lower
from django.utils.translation import gettext_lazy as _

from accounts.models import default_timezone, validate_person_name, validate_timezone
from directory import phones
from directory.contacts.attributes import validate_attributes
from directory.fields import EDITABLE
from directory.models.contact_query import ContactQuerySet
from directory.models.tag import Tag
from project.core.fields import ClockField

NOT_DERIVED: Final = Q(line_type="", phone__gt=0)
"""Contacts from before there were countries, and those that the previous release adds during an upgrade."""


def likely_timezone(phone: int) -> str:
    """Return the time zone of the phone, or else the installation's."""
    return phones.timezone_of(phone) or default_timezone()


class Contact(models.Model):
    """A person, identified by phone. Contacts are deactivated, never deleted.

    `operator_code`, `country` (ISO 3166) and `line_type` are derived from the phone. An empty `line_type` means that
    they are not yet: see `directory.contacts.derivation`.

    `opted_out` repeats that the phone is on the suppression list, for large queries;
    `directory.suppression.services` keeps both in step. `search` is the text that lists search and sort by: name and
    phone in lower case, each word after a space.
    """

    phone = models.BigIntegerField(
        _("phone"),
        unique=True,
        error_messages={"unique": _("A contact with this phone number already exists.")},
    )
    operator_code = models.CharField(_("operator code"), max_length=3, editable=False)
    country = models.CharField(_("country"), max_length=2, default="", db_default="", editable=False)
    line_type = models.CharField(_("line type"), max_length=9, default="", db_default="", editable=False)
    first_name = models.CharField(_("first name"), max_length=150, blank=True, validators=[validate_person_name])
    last_name = models.CharField(_("last name"), max_length=150, blank=True, validators=[validate_person_name])
    tags = models.ManyToManyField(
        Tag, verbose_name=_("tags"), related_name="contacts", blank=True, through="directory.Tagging"
    )
    timezone = models.CharField(_("time zone"), max_length=64, default=default_timezone, validators=[validate_timezone])
    attributes = models.JSONField(_("attributes"), default=dict, blank=True, validators=[validate_attributes])
    is_active = models.BooleanField(_("active"), default=True)
    opted_out = models.BooleanField(_("opted out"), default=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="contacts",
        verbose_name=_("added by"),
        db_index=False,
    )
    created_at = ClockField(_("added"), auto_now_add=True)
    updated_at = ClockField(_("changed"), auto_now=True)
    search = models.GeneratedField(
        expression=Lower(
            Concat(
                Value(" "), F("first_name"), Value(" "), F("last_name"), Value(" "), Cast("phone", models.CharField())
            )
        ),
        output_field=models.CharField(max_length=330),
        db_persist=True,
    )

    objects = ContactQuerySet.as_manager()

    VERSIONED: ClassVar = EDITABLE

    NOT_YOURS: ClassVar = _("Only the user who added this contact and administrators can change it.")

    class Meta:
        verbose_name = _("contact")
        verbose_name_plural = _("contacts")
        # Each list reads rows in the order of an index. A migration adds a trigram index on PostgreSQL.
        indexes = [
            models.Index(fields=["operator_code", "id"], name="contact_operator"),
            models.Index(fields=["timezone", "id"], name="contact_zone"),
            models.Index(fields=["country", "id"], name="contact_country"),
            models.Index(fields=["owner", "id"], name="contact_owner"),
            # Covers a sort by last change of the contacts added within some days.
            models.Index(fields=["created_at", "id", "updated_at", "is_active"], name="contact_added"),
            models.Index(fields=["updated_at", "id"], name="contact_changed"),
            # Searches scan this index without reading rows.
            models.Index(fields=["search", "id", "is_active"], name="contact_name"),
            models.Index(fields=["id"], condition=Q(opted_out=True), name="contact_opted_out"),
            models.Index(fields=["id"], condition=Q(is_active=False), name="contact_inactive"),
            # Audiences are counted from this index alone.
            models.Index(
                fields=["id", "operator_code", "timezone", "country"],
                condition=Q(is_active=True, opted_out=False),
                name="contact_counted",
            ),
            models.Index(fields=["id"], condition=NOT_DERIVED, name="contact_not_derived"),
        ]

    def __str__(self) -> str:
        return self.full_name or phones.pretty(self.phone)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Derive what follows from the phone."""
        for name, value in phones.derived(self.phone).items():
            setattr(self, name, value)
        super().save(*args, **kwargs)

    @property
    def landline_warned(self) -> bool:
        """Whether to warn that the phone receives no SMS."""
        return not self.erased and phones.should_warn(self.phone)

    @property
    def erased(self) -> bool:
        """Whether the person was erased, see `directory.contacts.erasure`."""
        return self.phone < 0

    @property
    def full_name(self) -> str:
        """First and last name, or an empty string."""
        return f"{self.first_name} {self.last_name}".strip()
