"""Formatting of numbers for pages and sentences."""

_NARROW_SPACE = "\N{NARROW NO-BREAK SPACE}"


def number(value: int) -> str:
    """Group digits by narrow no-break spaces: `12304` → `12 304`."""
    return f"{value:,}".replace(",", _NARROW_SPACE)
