"""How numbers are written, on pages and in sentences."""

_THIN = "\N{NARROW NO-BREAK SPACE}"


def number(value: int) -> str:
    """Group digits by thin spaces that never break: `12304` → `12 304`."""
    return f"{value:,}".replace(",", _THIN)
