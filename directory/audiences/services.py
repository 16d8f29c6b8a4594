"""Operations on saved audiences: anyone adds them; the owner and administrators change them."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from django.core.cache import caches
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.db.models import Count
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.optimistic_locking import check_version
from accounts.policies import check_may_change
from directory.audiences.audience import Audience
from directory.contacts.attributes import is_storable
from directory.models import Contact, SavedAudience
from project.http.errors import Conflict

MAX_COUNTED: Final = 10_000
_SAMPLE_SIZE: Final = 8
_CACHE_SECONDS: Final = 60


@dataclass(frozen=True)
class Reach:
    """How many contacts an audience selects that can be contacted, and the newest of them.

    `opted_out` is the number of matching contacts that opted out, see `_opted_out_count`.
    """

    number: int
    opted_out: int
    sample: list[Contact]


def audience_size(audience: Audience) -> int:
    """Return the exact number of matching contacts that can be contacted."""
    with _planner_hints(audience):
        return Contact.objects.contactable().matching(audience).order_by().count()


@contextmanager
def _planner_hints(audience: Audience) -> Iterator[None]:
    """Guide PostgreSQL's planner for the counts of this transaction; its own choice is slower (measured).

    If indexes suffice, they are merged in order. Without a second table, or with attributes, a parallel scan may run,
    with enough memory for one pass.
    """
    uses_other_tables = audience.tags or audience.tags_none or audience.last_contacted
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL work_mem = '64MB'; SET LOCAL jit = off")
                if uses_other_tables and not audience.attributes:
                    cursor.execute("SET LOCAL enable_hashjoin = off; SET LOCAL max_parallel_workers_per_gather = 0")
        yield


@dataclass(frozen=True)
class Distribution:
    """How many contacts an audience selects that can be contacted: in total, by time zone, operator code and country.

    The lists are in descending order. `opted_out` is as in `Reach`.
    """

    number: int
    opted_out: int
    zones: list[tuple[str, int]]
    operators: list[tuple[str, int]]
    countries: list[tuple[str, int]]


def audience_distribution(audience: Audience) -> Distribution:
    """Return exact counts, cached for a minute while no contact changes.

    The composer requests them repeatedly for the same audience.
    """
    newest = Contact.objects.order_by("-updated_at").values_list("pk", "updated_at").first()
    key = f"spread-{sha256(repr((audience, newest)).encode()).hexdigest()}"
    distribution: Distribution | None = caches["process"].get(key)
    if distribution is None:
        distribution = _distribution(audience)
        caches["process"].set(key, distribution, _CACHE_SECONDS)
    return distribution


def _distribution(audience: Audience) -> Distribution:
    zones, operators, countries = Counter[str](), Counter[str](), Counter[str]()
    matching = Contact.objects.contactable().matching(audience).order_by()
    grouped = matching.values_list("timezone", "operator_code", "country")
    with _planner_hints(audience):
        for zone, operator, country, contacts in grouped.annotate(contacts=Count("pk")):
            zones[zone] += contacts
            operators[operator] += contacts
            countries[country] += contacts
        opted_out = _opted_out_count(audience)
    return Distribution(zones.total(), opted_out, zones.most_common(), operators.most_common(), countries.most_common())


def _opted_out_count(audience: Audience) -> int:
    """Count matching contacts that opted out; the count stops at `MAX_COUNTED` + 1."""
    opted_out_contacts = Contact.objects.filter(is_active=True, opted_out=True).matching(audience)
    return opted_out_contacts.order_by().values("pk")[: MAX_COUNTED + 1].count()


def audience_reach(audience: Audience) -> Reach:
    """Return the `Reach` of an audience."""
    number = audience_size(audience)
    with _planner_hints(audience):
        opted_out = _opted_out_count(audience)
    matching = Contact.objects.contactable().matching(audience).order_by("-pk") if number else Contact.objects.none()
    return Reach(number, opted_out, list(matching[:_SAMPLE_SIZE]))


@transaction.atomic
def audience_save(
    *, by: User, name: str, audience: Audience, saved: SavedAudience | None = None, version: str | None = None
) -> SavedAudience:
    """Create or change a saved audience. Campaigns that were made from it do not change. Conflict if the name is taken.

    Raises `Stale` (a Conflict) unless the audience has the given version.
    """
    saved = SavedAudience(owner=by) if saved is None else SavedAudience.objects.select_for_update().get(pk=saved.pk)
    check_may_change(by, saved)
    check_version(saved, version)
    saved.name, saved.audience = " ".join(name.split()), audience.to_json()
    if not saved.name or not is_storable(saved.name):
        raise ValidationError({"name": _("Enter a name.")})
    try:
        with transaction.atomic():
            saved.save()
    except IntegrityError as error:
        raise Conflict(_("An audience with this name already exists.")) from error
    return saved


def audience_delete(*, by: User, saved: SavedAudience) -> None:
    """Delete a saved audience. Campaigns that were made from it do not change."""
    check_may_change(by, saved)
    saved.delete()
