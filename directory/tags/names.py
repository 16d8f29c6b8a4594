"""Names of tags, without I/O."""

import unicodedata
from typing import Final

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

MAX_TAG_LENGTH: Final = 50


def tag_name(raw: str) -> str:
    """Normalise a tag: lower case and single spaces, so that `VIP ` and `vip` are the same."""
    return unicodedata.normalize("NFC", " ".join(raw.lower().split()))


def validate_tag_name(name: str) -> None:
    """Refuse names that a form can't show or a database can't store."""
    if not name:
        raise ValidationError(_("A tag can’t be empty."))
    if len(name) > MAX_TAG_LENGTH:
        raise ValidationError(_("A tag can have at most %(n)d characters."), params={"n": MAX_TAG_LENGTH})
    if "," in name or not name.isprintable():
        raise ValidationError(_("A tag can’t contain commas or invisible characters."))
