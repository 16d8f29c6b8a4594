"""`{% load directory %}`: formatted values of contacts."""

from datetime import timedelta

from django import template
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from directory import phones
from directory.audiences.services import MAX_COUNTED
from directory.contacts import attributes
from directory.countries import country_name
from project.core.numbers import number

register = template.Library()
register.filter("attribute_text", attributes.as_text)
register.filter("country", country_name)


@register.filter
def span(length: timedelta | None) -> str:
    """Format a duration in a fitting unit; a dash for None."""
    if length is None:
        return "—"
    seconds = max(round(length.total_seconds()), 1)
    return _("%(count)d s") % {"count": seconds} if seconds < 100 else _("%(count)d min") % {"count": -(-seconds // 60)}


@register.filter
def opted_out_words(opted_out: int) -> str:
    """Say how many of an audience are left out because they opted out, as far as they were counted."""
    if opted_out > MAX_COUNTED:
        return _("More than %(number)s others have opted out and are excluded.") % {"number": number(MAX_COUNTED)}
    return ngettext(
        "%(number)s other contact has opted out and is excluded.",
        "%(number)s other contacts have opted out and are excluded.",
        opted_out,
    ) % {"number": number(opted_out)}


@register.filter
def phone(value: int | None) -> str:
    """Format a phone: `79991234567` → `+7 999 123-45-67`; a dash for None."""
    return "—" if value is None else phones.pretty(value)
