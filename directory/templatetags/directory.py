"""`{% load directory %}`: a contact's values as people read them."""

from datetime import timedelta

from django import template
from django.utils.translation import gettext as _

from directory import attributes, phones

register = template.Library()
register.filter("written", attributes.written)


@register.filter
def span(length: timedelta | None) -> str:
    """A length of time in the unit that fits; a dash of None."""
    if length is None:
        return "—"
    seconds = max(round(length.total_seconds()), 1)
    return _("%(count)d s") % {"count": seconds} if seconds < 100 else _("%(count)d min") % {"count": -(-seconds // 60)}


@register.filter
def phone(value: int | None) -> str:
    """`79991234567` → `+7 999 123-45-67`; a dash of None."""
    return "—" if value is None else phones.pretty(value)
