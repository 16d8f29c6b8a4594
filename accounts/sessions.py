"""Stored sessions. Messages that no page has shown yet may contain personal data."""

import re

from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session


def delete_sessions_containing(pattern: re.Pattern[str]) -> None:
    """End the sessions whose data matches a pattern."""
    rows = Session.objects.values_list("pk", "session_data").iterator(1000)
    store = SessionStore()
    matching = [pk for pk, data in rows if pattern.search(str(store.decode(data)))]
    Session.objects.filter(pk__in=matching).delete()
