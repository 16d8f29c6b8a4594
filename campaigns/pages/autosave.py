"""The composer's autosave: unsaved input is stored per user until it is saved or discarded, for up to 30 days."""

from datetime import timedelta
from typing import Final

from django.http import QueryDict

from accounts.models import User
from campaigns.models import Campaign, Unsaved
from project.core.clock import now

_MAX_AGE: Final = timedelta(days=30)
_MAX_CHARACTERS: Final = 100_000
_IGNORED_FIELDS: Final = ("csrfmiddlewaretoken", "action")


def keep(user: User, campaign: Campaign | None, data: QueryDict) -> None:
    """Store the fields of a form, replacing earlier ones; extremely long input is not stored."""
    typed = data.copy()
    for name in _IGNORED_FIELDS:
        typed.pop(name, None)
    fields = typed.urlencode()
    Unsaved.objects.filter(saved_at__lt=now() - _MAX_AGE).delete()
    if len(fields) <= _MAX_CHARACTERS:
        Unsaved.objects.update_or_create(user=user, campaign=campaign, defaults={"fields": fields})


def kept(user: User, campaign: Campaign | None) -> QueryDict | None:
    """The stored fields of a form that the user has neither saved nor discarded."""
    row = Unsaved.objects.filter(user=user, campaign=campaign, saved_at__gte=now() - _MAX_AGE).first()
    return QueryDict(row.fields) if row else None


def forget(user: User, campaign: Campaign | None) -> None:
    """Delete stored fields, because they were saved or discarded."""
    Unsaved.objects.filter(user=user, campaign=campaign).delete()
