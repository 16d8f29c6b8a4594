"""`{% load directory %}`: a contact's values as people read them."""

from django import template

from directory import attributes, phones

register = template.Library()
register.filter("written", attributes.written)


@register.filter
def phone(value: int | None) -> str:
    """`79991234567` → `+7 999 123-45-67`; a dash of None."""
    return "—" if value is None else phones.pretty(value)
