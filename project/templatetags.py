"""Template filters that every page may use without loading them."""

from django import template

register = template.Library()


@register.filter
def number(value: int) -> str:
    """Group digits by thin spaces: `12304` → `12 304`."""
    return f"{value:,}".replace(",", "\N{THIN SPACE}")
