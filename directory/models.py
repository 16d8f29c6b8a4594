"""Contact, Tag and what is kept beside them: the suppression list, saved audiences, and the filters over contacts."""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, TypedDict, Unpack

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, models
from django.db.models import Exists, F, OuterRef, Q, Value
from django.db.models.functions import Cast, Concat, Lower
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.models import default_timezone, validate_person_name, validate_timezone
from directory import phones
from directory.attributes import validate_attributes
from directory.audience import CONTAINS, EXISTS, NEVER, WITHIN, Audience, Condition, Written
from directory.imports.models import Import  # noqa: F401 - Django looks for models here
from directory.names import MAX_TAG_LENGTH, tag_name, validate_tag_name
from project import clock

_INDEXED_LETTERS = 3


class Tone(models.TextChoices):
    """The colours that a tag may have, by the names of the design's palette."""

    PLAIN = "", _("Plain")
    ACCENT = "accent", _("Violet")
    SENT = "sent", _("Blue")
    GOOD = "good", _("Green")
    WARN = "warn", _("Amber")
    BAD = "bad", _("Red")


def likely_timezone(phone: int) -> str:
    """The time zone of a contact that tells none: the phone's, if it tells one, else the installation's."""
    return phones.timezone_of(phone) or default_timezone()


class Tag(models.Model):
    """A word that groups contacts, kept in lower case so that VIP and vip are one."""

    name = models.CharField(_("name"), max_length=MAX_TAG_LENGTH, unique=True, validators=[validate_tag_name])
    tone = models.CharField(_("colour"), max_length=6, choices=Tone.choices, default=Tone.PLAIN, blank=True)

    class Meta:
        verbose_name = _("tag")
        verbose_name_plural = _("tags")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class ContactFilters(TypedDict, total=False):
    """What a list of contacts can be narrowed by; all that is given must hold."""

    phone: int | str | None
    operator_code: str | None
    timezone: str | None
    owner: int | None
    is_active: bool | None
    opted_out: bool | None


class ContactQuerySet(models.QuerySet["Contact"]):
    """Contacts by what can be asked of them."""

    def writable(self) -> "ContactQuerySet":
        """Those who may be written to: active, and not opted out."""
        return self.filter(is_active=True, opted_out=False)

    def unwritable(self) -> "ContactQuerySet":
        """Those who must not be written to."""
        return self.filter(Q(is_active=False) | Q(opted_out=True) | Q(_suppressed()))

    def cleared(self) -> "ContactQuerySet":
        """Those whose phone is not on the suppression list: asked anew before a message leaves, by phone.

        `opted_out` says the same and is what audiences are counted by, but a contact that is being added at the very
        moment at which its phone comes onto the list might miss it.
        """
        return self.filter(~_suppressed())

    def matching(self, audience: Audience) -> "ContactQuerySet":
        """Those an audience picks."""
        found = self
        if audience.operator_codes:
            found = found.filter(operator_code__in=audience.operator_codes)
        if audience.timezones:
            found = found.filter(timezone__in=audience.timezones)
        if audience.tags_match == "all":
            for name in audience.tags:
                found = found.filter(_tagged([name]))
        elif audience.tags:
            found = found.filter(_tagged(audience.tags))
        if audience.tags_none:
            found = found.filter(~_tagged(audience.tags_none))
        for condition in audience.attributes:
            found = found.filter(_attribute(condition))
        return found.filter(_written(audience.written)) if audience.written else found

    def narrow(
        self,
        *,
        tags: Iterable[str] = (),
        q: str | None = None,
        added_from: datetime | str | None = None,
        added_before: datetime | str | None = None,
        below: int | None = None,
        **exact: Unpack[ContactFilters],
    ) -> "ContactQuerySet":
        """The filters of every list of contacts; one that is empty does not narrow. Of several tags one is enough.

        `below`: only ids less than that.
        """
        found = self.filter(**{name: value for name, value in exact.items() if value not in (None, "")})
        if names := [tag_name(name) for name in tags]:
            below = _newest_tagged(names) + 1 if below is None else below
            found = found.filter(_tagged(names, contact__lt=below))
        if below is not None:
            found = found.filter(pk__lt=below)
        if added_from:
            found = found.filter(created_at__gte=added_from)
        if added_before:
            found = found.filter(created_at__lt=added_before)
        return found.search(q) if q else found

    def search(self, text: str) -> "ContactQuerySet":
        """Those whose name holds every word of `text`, and whose phone holds its digits.

        A word of one or two letters must begin a name: shorter ones no index finds within.
        """
        words = text.split()
        names = [word for word in words if any(map(str.isalpha, word))]
        found = self
        for name in names:
            found = found.filter(_mentions(name if len(name) >= _INDEXED_LETTERS else f" {name}"))
        digits = Q()
        for variant in phones.searched("".join(word for word in words if word not in names)):
            digits |= _mentions(variant)
        return found.filter(digits)

    def changeable_by(self, user: AbstractBaseUser) -> "ContactQuerySet":
        """Those that `User.may_change` lets a user change."""
        return self if getattr(user, "is_staff", False) else self.filter(owner=user.pk)


def _mentions(text: str) -> Q:
    """What is searched for stands somewhere in name and phone; SQLite's LIKE would ignore the case of ASCII only."""
    if connection.vendor == "postgresql":
        return Q(search__contains=text.lower())
    return Q(search__iregex=re.escape(text))


def _suppressed() -> Exists:
    return Exists(Suppression.objects.filter(phone=OuterRef("phone")))


def _tagged(names: Iterable[str], **bounds: int) -> Exists:
    """One of those tags; their ids are looked up first, so that the plan knows how common they are."""
    ids = sorted(Tag.objects.filter(name__in=names).values_list("pk", flat=True))
    taggings = Tagging.objects.filter(contact=OuterRef("pk"), **bounds)
    return Exists(taggings.filter(tag=ids[0]) if len(ids) == 1 else taggings.filter(tag__in=ids or [0]))


def _newest_tagged(names: Iterable[str]) -> int:
    """The highest id of a contact with one of those tags, for a list need not look for them among newer contacts."""
    newest = Tagging.objects.order_by("-contact_id").values_list("contact_id", flat=True)
    ids = Tag.objects.filter(name__in=names).values_list("pk", flat=True)
    return max((newest.filter(tag=tag)[:1].get() for tag in ids if newest.filter(tag=tag).exists()), default=0)


def _attribute(condition: Condition) -> Q:
    """A flat attribute by its text, whatever its type, without regard to case."""
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


def _written(written: Written) -> Q:
    """See `LastWritten` for how fresh that is."""
    known = LastWritten.objects.filter(contact=OuterRef("pk"))
    if written.when == NEVER:
        return ~Q(Exists(known))
    lately = Q(Exists(known.filter(at__gte=clock.now() - timedelta(days=written.days))))
    return lately if written.when == WITHIN else ~lately


class Contact(models.Model):
    """A person by phone. `operator_code` follows from the phone; deleting deactivates.

    `opted_out` says that the phone is on the suppression list, at hand for the plans of large queries:
    `directory.suppression` keeps the two in step. `search` is what lists search and sort by: name and phone in lower
    case, each word after a space.
    """

    phone = models.BigIntegerField(
        _("phone"),
        unique=True,
        error_messages={"unique": _("A contact with this phone exists already.")},
    )
    operator_code = models.CharField(_("operator code"), max_length=3, editable=False)
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
    created_at = models.DateTimeField(_("added"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)
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

    class Meta:
        verbose_name = _("contact")
        verbose_name_plural = _("contacts")
        # Each list reads its rows in the order of an index. A migration adds one of trigrams where there are such.
        indexes = [
            models.Index(fields=["operator_code", "id"], name="contact_operator"),
            models.Index(fields=["timezone", "id"], name="contact_zone"),
            models.Index(fields=["owner", "id"], name="contact_owner"),
            # It tells enough to sort those added within some days by their last change.
            models.Index(fields=["created_at", "id", "updated_at", "is_active"], name="contact_added"),
            models.Index(fields=["updated_at", "id"], name="contact_changed"),
            # A search is looked for along it without a look at the contacts.
            models.Index(fields=["search", "id", "is_active"], name="contact_name"),
            models.Index(fields=["id"], condition=Q(opted_out=True), name="contact_opted_out"),
            models.Index(fields=["id"], condition=Q(is_active=False), name="contact_inactive"),
            # An audience is counted from this index alone.
            models.Index(
                fields=["id", "operator_code", "timezone"],
                condition=Q(is_active=True, opted_out=False),
                name="contact_writable",
            ),
        ]

    def __str__(self) -> str:
        return self.full_name or phones.pretty(self.phone)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Keep the operator code true to the phone."""
        self.operator_code = phones.operator_code(self.phone)
        super().save(*args, **kwargs)

    @property
    def erased(self) -> bool:
        """Whether nothing is known of the person any more: see `directory.erasure`."""
        return self.phone < 0

    @property
    def full_name(self) -> str:
        """First and last name, or nothing."""
        return f"{self.first_name} {self.last_name}".strip()


class Tagging(models.Model):
    """One tag of one contact. Its two indexes find the tags of a contact, and a tag's contacts in order."""

    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="taggings", db_index=False)
    tag = models.ForeignKey(Tag, on_delete=models.CASCADE, related_name="taggings", db_index=False)

    class Meta:
        db_table = "directory_contact_tags"
        constraints = [models.UniqueConstraint(fields=["contact", "tag"], name="tagging_once")]
        indexes = [models.Index(fields=["tag", "contact"], name="tagging_by_tag")]

    def __str__(self) -> str:
        return f"{self.contact_id} · {self.tag_id}"


class Source(models.TextChoices):
    """How a phone came onto the suppression list."""

    PERSON = "person", pgettext_lazy("source", "By hand")
    IMPORT = "import", pgettext_lazy("source", "Import")
    API = "api", pgettext_lazy("source", "API")
    REPLY = "reply", pgettext_lazy("source", "Reply")


class Suppression(models.Model):
    """A phone that is never written to, whether or not a contact has it. `by` is who put it there."""

    phone = models.BigIntegerField(_("phone"), primary_key=True)
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    source = models.CharField(_("source"), max_length=6, choices=Source.choices, default=Source.PERSON)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("put there by")
    )
    created_at = models.DateTimeField(_("since"), auto_now_add=True)

    class Meta:
        verbose_name = _("suppressed phone")
        verbose_name_plural = _("suppression list")
        indexes = [models.Index(fields=["created_at", "phone"], name="suppression_since")]

    def __str__(self) -> str:
        return phones.pretty(self.phone)

    @property
    def owner_id(self) -> int | None:
        """Who may take it off again, besides administrators."""
        return self.by_id


class LastWritten(models.Model):
    """When a message to a contact was last accepted; whoever sends messages notes it, in batches.

    A table of its own: a column of the contact would have all of the contact's indexes written with each message.
    """

    contact = models.OneToOneField(Contact, on_delete=models.CASCADE, primary_key=True, related_name="last_written")
    at = models.DateTimeField()

    class Meta:
        # An audience is counted from this index alone.
        indexes = [models.Index(fields=["contact", "at"], name="last_written")]

    def __str__(self) -> str:
        return f"{self.contact_id} · {self.at:%Y-%m-%d %H:%M}"


class SavedAudience(models.Model):
    """An audience with a name, to choose for a campaign."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    audience = models.JSONField(_("audience"), default=dict)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name=_("saved by")
    )
    created_at = models.DateTimeField(_("added"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        verbose_name = _("saved audience")
        verbose_name_plural = _("saved audiences")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def picks(self) -> Audience:
        """The audience as a value."""
        return Audience.from_json(self.audience)


class Deed(models.TextChoices):
    """What can be done to many contacts at once."""

    TAG = "tag", _("Add a tag")
    UNTAG = "untag", _("Remove a tag")
    DEACTIVATE = "deactivate", _("Deactivate")
    REACTIVATE = "reactivate", _("Bring back")
    MERGE = "merge", _("Merge a tag")
    DELETE_TAG = "delete_tag", _("Delete a tag")


class BulkAction(models.Model):
    """One deed done to many contacts, in batches by id: the row is its whole state, so any worker may go on with it.

    It concerns the contacts of `ids`, or those that `filters` (for `ContactQuerySet.narrow`) find, up to `last_id`;
    `position` is the id up to which it is done. `tag` is what it gives or takes, `into` what a tag is merged into.
    """

    deed = models.CharField(_("action"), max_length=10, choices=Deed.choices)
    tag = models.CharField(_("tag"), max_length=MAX_TAG_LENGTH, blank=True)
    into = models.CharField(max_length=MAX_TAG_LENGTH, blank=True)
    ids = models.JSONField(null=True)
    filters = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name=_("started by")
    )
    total = models.PositiveIntegerField(_("contacts"))
    last_id = models.BigIntegerField()
    position = models.BigIntegerField(default=0)
    changed = models.PositiveIntegerField(_("changed"), default=0)
    unchanged = models.PositiveIntegerField(_("as they should be already"), default=0)
    refused = models.PositiveIntegerField(_("left alone"), default=0)
    created_at = models.DateTimeField(_("started"), auto_now_add=True)
    finished_at = models.DateTimeField(_("finished"), null=True)

    class Meta:
        verbose_name = _("bulk action")
        verbose_name_plural = _("bulk actions")
        indexes = [models.Index(fields=["owner"], condition=Q(finished_at=None), name="bulk_action_unfinished")]

    def __str__(self) -> str:
        return str(self.get_deed_display())

    @property
    def done(self) -> int:
        """How many contacts it has looked at."""
        return self.changed + self.unchanged + self.refused
