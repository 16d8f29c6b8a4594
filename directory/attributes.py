"""A contact's own facts beside the fixed fields, pure: names, limits, and how people write them in a form."""

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

MAX_ATTRIBUTES: Final = 50
MAX_ATTRIBUTE_LENGTH: Final = 500
_NAME: Final = re.compile(r"[^\W\d]\w{0,49}")
_RESERVED: Final = frozenset({"first_name", "last_name", "phone"})


def validate_attributes(value: Any) -> None:
    """A flat object of short names to texts, numbers or booleans; every name can be a placeholder of a text."""
    if not isinstance(value, dict):
        raise ValidationError(_("Attributes are an object of names and values."))
    if len(value) > MAX_ATTRIBUTES:
        raise ValidationError(_("At most %(n)d attributes."), params={"n": MAX_ATTRIBUTES})
    for name, item in value.items():
        _validate_name(name)
        _validate_item(name, item)


@lru_cache(maxsize=4096)
def _validate_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValidationError(
            _("“%(name)s” can't name an attribute: use letters, digits and underscores, at most 50."),
            params={"name": _shown(name)},
        )
    if name in _RESERVED:
        raise ValidationError(_("“%(name)s” is a field of every contact already."), params={"name": name})


def _validate_item(name: str, item: Any) -> None:
    if not isinstance(item, (str, int, float)) or (isinstance(item, float) and not math.isfinite(item)):
        raise ValidationError(_("“%(name)s” must be a text, a number or yes/no."), params={"name": name})
    if isinstance(item, int) and abs(item) >= 2**63:
        raise ValidationError(_("“%(name)s” is too large a number."), params={"name": name})
    if isinstance(item, str) and len(item) > MAX_ATTRIBUTE_LENGTH:
        raise ValidationError(
            _("“%(name)s” is longer than %(n)d characters."),
            params={"name": name, "n": MAX_ATTRIBUTE_LENGTH},
        )
    if isinstance(item, str) and not is_storable(item):
        raise ValidationError(_("“%(name)s” holds a character that can't be stored."), params={"name": name})


def is_storable(text: str) -> bool:
    """Whether a database can keep the text: no NUL, no half of a surrogate pair."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def parse_lines(text: str, known: Mapping[str, Any]) -> dict[str, Any]:
    """`city: Omsk`, one a line, as people write attributes; ValidationError shows the line that can't be read.

    A value that reads as it did in `known` stays what it was: a form must not turn the number 12 into the text "12".
    """
    found: dict[str, Any] = {}
    for line in filter(str.strip, text.splitlines()):
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not colon:
            raise ValidationError(_("“%(line)s” has no colon: write name: value."), params={"line": _shown(line)})
        if name in found:
            raise ValidationError(_("“%(name)s” is written twice."), params={"name": _shown(name)})
        found[name] = known[name] if name in known and written(known[name]) == value else value
    return found


def to_lines(attributes: Mapping[str, Any]) -> str:
    """The reverse of `parse_lines`."""
    return "\n".join(f"{name}: {written(value)}" for name, value in attributes.items())


def merge(there: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """What is there, with what is told of it; ValidationError if that is too much.

    A text that reads as the value that is there leaves it what it is: a file must not turn the number 12 into a text.
    """
    kept = {name: there[name] for name, value in told.items() if name in there and _reads_as(value, there[name])}
    merged = {**there, **told, **kept}
    if len(merged) > MAX_ATTRIBUTES:
        raise ValidationError(_("At most %(n)d attributes."), params={"n": MAX_ATTRIBUTES})
    return merged


def _reads_as(told: Any, there: Any) -> bool:
    return isinstance(told, str) and written(told) == written(there)


def written(value: Any) -> str:
    """A value on one line, as people read it."""
    return " ".join(str(value).lower().split() if isinstance(value, bool) else str(value).split())


def _shown(text: str) -> str:
    return text if len(text) <= 30 else f"{text[:30]}…"
