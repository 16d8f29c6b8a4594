"""What can be done with saved audiences: anyone adds one; its owner, or an administrator, changes it."""

from dataclasses import dataclass
from typing import Final

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, connection, transaction
from django.utils.translation import gettext as _

from accounts.models import User
from directory.attributes import is_storable
from directory.audience import Audience
from directory.models import Contact, SavedAudience
from project.http import Conflict

_SAMPLE: Final = 8


@dataclass(frozen=True)
class Reach:
    """How many contacts an audience picks who may be written to, and the newest of them."""

    number: int
    sample: list[Contact]


def audience_number(audience: Audience) -> int:
    """How many contacts it picks who may be written to, counted one by one.

    What PostgreSQL would choose for it is not the fastest (measured): where indexes tell all, they are merged in order;
    attributes have it read the contacts, in parallel and with memory enough for one pass.
    """
    picked = Contact.objects.writable().matching(audience).order_by()
    if connection.vendor != "postgresql":
        return picked.count()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL work_mem = '64MB'; SET LOCAL jit = off")
        if not audience.attributes:
            cursor.execute("SET LOCAL enable_hashjoin = off; SET LOCAL max_parallel_workers_per_gather = 0")
        return picked.count()


def audience_reach(audience: Audience) -> Reach:
    """See `Reach`."""
    number = audience_number(audience)
    picked = Contact.objects.writable().matching(audience).order_by("-pk") if number else Contact.objects.none()
    return Reach(number, list(picked[:_SAMPLE]))


def audience_save(*, by: User, name: str, audience: Audience, saved: SavedAudience | None = None) -> SavedAudience:
    """Add one, or change one. Conflict if another has the name; a campaign that was made from it stays as it is."""
    if saved is None:
        saved = SavedAudience(owner=by)
    check_may_change(by, saved)
    if not name.strip() or not is_storable(name):
        raise ValidationError({"name": _("Give it a name.")})
    saved.name, saved.audience = name, audience.to_json()
    try:
        with transaction.atomic():
            saved.save()
    except IntegrityError as error:
        raise Conflict(_("There is an audience of this name already.")) from error
    return saved


def audience_delete(*, by: User, saved: SavedAudience) -> None:
    """Campaigns that were made from it stay as they are."""
    check_may_change(by, saved)
    saved.delete()


def check_may_change(by: User, saved: SavedAudience) -> None:
    """PermissionDenied unless it is theirs, or they are an administrator."""
    if not by.may_change(saved):
        raise PermissionDenied(_("Only whoever saved this audience, or an administrator, may change it."))
