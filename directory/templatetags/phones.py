"""`{% load phones %}`."""

from django import template

from directory import phones

register = template.Library()


@register.filter
def phone(value: int | None) -> str:
    """`79991234567` → `+7 999 123-45-67`; a dash of None."""
    return "—" if value is None else phones.pretty(value)
