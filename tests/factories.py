"""Plain functions that make rows for tests; every argument has a sensible default."""

import itertools
from typing import Any

from accounts.models import User
from directory.models import Contact, Tag

PASSWORD = "correct horse battery"
_numbers = itertools.count(1)


def user(email: str | None = None, **fields: Any) -> User:
    """A user who signs in with `PASSWORD`."""
    return User.objects.create_user(email or f"user{next(_numbers)}@example.org", PASSWORD, **fields)


def contact(owner: User, *, tags: tuple[str, ...] = (), **fields: Any) -> Contact:
    """A contact with the next free phone."""
    fields.setdefault("phone", 79990000000 + next(_numbers))
    row = Contact.objects.create(owner=owner, **fields)
    row.tags.set([Tag.objects.get_or_create(name=name)[0] for name in tags])
    return row
