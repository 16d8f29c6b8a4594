"""What can be done with saved audiences: anyone adds one; its owner, or an administrator, changes it."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from django.core.cache import caches
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, connection, transaction
from django.db.models import Count
from django.utils.translation import gettext as _

from accounts.models import User
from directory.attributes import is_storable
from directory.audience import Audience
from directory.models import Contact, SavedAudience
from project.http import Conflict

MOST_COUNTED: Final = 10_000
_SAMPLE: Final = 8
_REMEMBERED: Final = 60


@dataclass(frozen=True)
class Reach:
    """How many contacts an audience picks who may be written to, and the newest of them.

    `opted_out`: how many more it would pick if they had not opted out, see `_opted_out`.
    """

    number: int
    opted_out: int
    sample: list[Contact]


def audience_number(audience: Audience) -> int:
    """How many contacts it picks who may be written to, counted one by one."""
    with _counting(audience):
        return Contact.objects.writable().matching(audience).order_by().count()


@contextmanager
def _counting(audience: Audience) -> Iterator[None]:
    """What PostgreSQL would choose for a count is not the fastest (measured), so it is told for this transaction.

    Where indexes tell all, they are merged in order; without a second table, or with attributes, it may read in
    parallel, with memory enough for one pass.
    """
    joined = audience.tags or audience.tags_none or audience.written
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL work_mem = '64MB'; SET LOCAL jit = off")
                if joined and not audience.attributes:
                    cursor.execute("SET LOCAL enable_hashjoin = off; SET LOCAL max_parallel_workers_per_gather = 0")
        yield


@dataclass(frozen=True)
class Spread:
    """How many contacts an audience picks who may be written to: in all, and of each time zone and operator code.

    Both lists begin with the most. `opted_out` as in `Reach`.
    """

    number: int
    opted_out: int
    zones: list[tuple[str, int]]
    operators: list[tuple[str, int]]


def audience_spread(audience: Audience) -> Spread:
    """Counted one by one, and then remembered for a minute, as long as no contact has changed since.

    Who writes a text asks again and again, and has it measured for the same audience.
    """
    newest = Contact.objects.order_by("-updated_at").values_list("pk", "updated_at").first()
    key = f"spread-{sha256(repr((audience, newest)).encode()).hexdigest()}"
    spread: Spread | None = caches["process"].get(key)
    if spread is None:
        spread = _spread(audience)
        caches["process"].set(key, spread, _REMEMBERED)
    return spread


def _spread(audience: Audience) -> Spread:
    zones, operators = Counter[str](), Counter[str]()
    grouped = Contact.objects.writable().matching(audience).order_by().values_list("timezone", "operator_code")
    with _counting(audience):
        for zone, operator, contacts in grouped.annotate(contacts=Count("pk")):
            zones[zone] += contacts
            operators[operator] += contacts
        opted_out = _opted_out(audience)
    return Spread(zones.total(), opted_out, zones.most_common(), operators.most_common())


def _opted_out(audience: Audience) -> int:
    """How many it picks who have opted out; of more than `MOST_COUNTED` one more is told."""
    left_out = Contact.objects.filter(is_active=True, opted_out=True).matching(audience)
    return left_out.order_by().values("pk")[: MOST_COUNTED + 1].count()


def audience_reach(audience: Audience) -> Reach:
    """See `Reach`."""
    number = audience_number(audience)
    with _counting(audience):
        opted_out = _opted_out(audience)
    picked = Contact.objects.writable().matching(audience).order_by("-pk") if number else Contact.objects.none()
    return Reach(number, opted_out, list(picked[:_SAMPLE]))


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
