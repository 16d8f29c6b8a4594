"""How tags are written, pure."""

import unicodedata
from typing import Final

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

MAX_TAG_LENGTH: Final = 50


def tag_name(written: str) -> str:
    """A tag as it is kept: lower case, no spaces around it, so that `VIP ` and `vip` are one."""
    return unicodedata.normalize("NFC", " ".join(written.lower().split()))


def validate_tag_name(name: str) -> None:
    """Refuse what a form could not show again, or a database could not keep."""
    if not name:
        raise ValidationError(_("A tag can't be empty."))
    if len(name) > MAX_TAG_LENGTH:
        raise ValidationError(_("A tag has at most %(n)d characters."), params={"n": MAX_TAG_LENGTH})
    if "," in name or not name.isprintable():
        raise ValidationError(_("A tag can't hold commas or invisible characters."))
