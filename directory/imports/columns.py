"""Columns of a file: the fields they can map to, and the conversion of rows. No I/O."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from directory.contacts.attributes import validate_attributes
from directory.exports.cells import unescape_formula
from directory.fields import FLAGS, IN_FILES
from directory.imports.cells import TypedCell
from directory.imports.phone_cells import phone_of

ATTRIBUTE: Final = "attributes."
_YES: Final = frozenset({"1", "true", "yes", "y", "да", "истина", "+"})
_NO: Final = frozenset({"0", "false", "no", "n", "нет", "ложь", "-"})


def attribute_of(name: str) -> str:
    """Return the attribute for a column name, or an empty string if the name is unusable."""
    attribute_name = re.sub(r"\W+", "_", name.strip().removeprefix(ATTRIBUTE)).strip("_")[:50]
    attribute_name = (
        attribute_name if not attribute_name or not attribute_name[0].isdigit() else f"_{attribute_name}"[:50]
    )
    try:
        validate_attributes({attribute_name: ""})
    except ValidationError:
        return ""
    return ATTRIBUTE + attribute_name


def reader(mapping: Sequence[str], tags: Sequence[str]) -> Callable[[list[str]], dict[str, Any]]:
    """Return a function that converts a row of cells to a row of `contacts_upsert`. Empty cells are left out.

    The function raises ValidationError for a row with more cells than columns.
    """
    simple_columns = [(column, field) for column, field in enumerate(mapping) if field in IN_FILES and field != "tags"]
    tag_columns = [column for column, field in enumerate(mapping) if field == "tags"]
    attributes = [
        (column, field[len(ATTRIBUTE) :]) for column, field in enumerate(mapping) if field.startswith(ATTRIBUTE)
    ]
    width = len(mapping)

    def read(cells: list[str]) -> dict[str, Any]:
        if len(cells) > width and any(cells[width:]):
            raise ValidationError(_("The row has more cells than there are columns. Is a quotation mark missing?"))
        texts = [(unescape_formula(cell) if cell[:1] == "'" else cell).strip() for cell in cells]
        texts += [""] * (width - len(texts))
        result: dict[str, Any] = {
            field: _value(field, texts[column]) for column, field in simple_columns if texts[column]
        }
        row_tags = [tag for column in tag_columns for tag in _split(texts[column])]
        if tags or row_tags:
            result["tags"] = [*tags, *row_tags]
        if attributes:
            result["attributes"] = {
                name: _attribute(cells[column], texts[column]) for column, name in attributes if texts[column]
            }
        return result

    return read


def _attribute(cell: str, text: str) -> Any:
    return cell.value if isinstance(cell, TypedCell) else text


def _split(text: str) -> list[str]:
    """Split tags at commas, or else at semicolons. Google exports `* myContacts ::: vip`."""
    if ":::" in text or text.startswith("* "):
        return [tag for tag in map(str.strip, text.split(":::")) if tag and not tag.startswith("* ")]
    return [tag for tag in text.split("," if "," in text else ";") if tag.strip()]


def _value(field: str, text: str) -> Any:
    if field in FLAGS:
        return True if text.lower() in _YES else False if text.lower() in _NO else text
    return phone_of(text) if field == "phone" else text
