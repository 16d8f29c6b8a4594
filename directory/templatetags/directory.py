"""`{% load directory %}`: a contact's values as people read them."""

from datetime import timedelta

from django import template
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from directory import attributes, phones
from directory.saved import MOST_COUNTED
from project.numbers import number

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
def left_out(opted_out: int) -> str:
    """How many of an audience get nothing because they opted out, as far as it was counted."""
    if opted_out > MOST_COUNTED:
        return _("More than %(number)s others opted out and are left out.") % {"number": number(MOST_COUNTED)}
    return ngettext(
        "%(number)s other opted out and is left out.", "%(number)s others opted out and are left out.", opted_out
    ) % {"number": number(opted_out)}


@register.filter
def phone(value: int | None) -> str:
    """`79991234567` → `+7 999 123-45-67`; a dash of None."""
    return "—" if value is None else phones.pretty(value)
