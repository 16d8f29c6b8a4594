"""A contact's attributes, without I/O: names, limits, and their text form."""

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from directory.fields import PLACEHOLDERS

MAX_ATTRIBUTES: Final = 50
MAX_ATTRIBUTE_LENGTH: Final = 500
_NAME: Final = re.compile(r"[^\W\d]\w{0,49}")


def validate_attributes(value: Any) -> None:
    """Accept a flat object of names to texts, numbers or booleans. Every name can be a placeholder in a text."""
    if not isinstance(value, dict):
        raise ValidationError(_("Attributes must be an object of names and values."))
    if len(value) > MAX_ATTRIBUTES:
        raise ValidationError(_("A contact can have at most %(n)d attributes."), params={"n": MAX_ATTRIBUTES})
    for name, item in value.items():
        _validate_name(name)
        _validate_item(name, item)


@lru_cache(maxsize=4096)
def _validate_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValidationError(
            _("“%(name)s” is not a valid attribute name: use at most 50 letters, digits and underscores."),
            params={"name": _shortened(name)},
        )
    if name in PLACEHOLDERS:
        raise ValidationError(_("“%(name)s” is already a standard contact field."), params={"name": name})


def _validate_item(name: str, item: Any) -> None:
    if not isinstance(item, (str, int, float)) or (isinstance(item, float) and not math.isfinite(item)):
        raise ValidationError(_("The value of “%(name)s” must be text, a number or yes/no."), params={"name": name})
    if isinstance(item, int) and abs(item) >= 2**63:
        raise ValidationError(_("The value of “%(name)s” is too large."), params={"name": name})
    if isinstance(item, str) and len(item) > MAX_ATTRIBUTE_LENGTH:
        raise ValidationError(
            _("The value of “%(name)s” is longer than %(n)d characters."),
            params={"name": name, "n": MAX_ATTRIBUTE_LENGTH},
        )
    if isinstance(item, str) and not is_storable(item):
        raise ValidationError(_("“%(name)s” contains a character that can’t be stored."), params={"name": name})


def is_storable(text: str) -> bool:
    """Whether a database can store the text: no NUL, no unpaired surrogate."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def parse_lines(text: str, known: Mapping[str, Any]) -> dict[str, Any]:
    """Parse lines like `city: Omsk`. The ValidationError shows the line that is invalid.

    A value whose text is unchanged keeps its type from `known`, so that a form does not turn the number 12 into "12".
    """
    parsed: dict[str, Any] = {}
    for line in filter(str.strip, text.splitlines()):
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not colon:
            raise ValidationError(
                _("“%(line)s” has no colon. Use the format “name: value”."), params={"line": _shortened(line)}
            )
        if name in parsed:
            raise ValidationError(_("“%(name)s” is given twice."), params={"name": _shortened(name)})
        parsed[name] = known[name] if name in known and as_text(known[name]) == value else value
    return parsed


def to_lines(attributes: Mapping[str, Any]) -> str:
    """Format attributes as lines; the reverse of `parse_lines`."""
    return "\n".join(f"{name}: {as_text(value)}" for name, value in attributes.items())


def merge(existing: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Merge new attributes into existing ones. Raises ValidationError if there are too many.

    A text that equals the existing value keeps its type, so that a file does not turn a number into a text.
    """
    unchanged = {
        name: existing[name] for name, value in given.items() if name in existing and _same_text(value, existing[name])
    }
    merged = {**existing, **given, **unchanged}
    if len(merged) > MAX_ATTRIBUTES:
        raise ValidationError(_("A contact can have at most %(n)d attributes."), params={"n": MAX_ATTRIBUTES})
    return merged


def _same_text(given: Any, existing: Any) -> bool:
    if not isinstance(given, str):
        return False
    return as_text(given) == as_text(existing) or (_is_number(existing) and _number(given) == existing)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def as_text(value: Any) -> str:
    """Format a value on one line."""
    return " ".join(str(value).lower().split() if isinstance(value, bool) else str(value).split())


def _shortened(text: str) -> str:
    return text if len(text) <= 30 else f"{text[:30]}…"
