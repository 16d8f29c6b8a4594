"""What a column of a file may tell of a contact, guessed by its name or chosen by hand; pure."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from directory import phones
from directory.attributes import validate_attributes
from directory.cells import restored

ATTRIBUTE: Final = "attributes."
FIELDS: Final = {
    "phone": _("Phone"),
    "first_name": _("First name"),
    "last_name": _("Last name"),
    "tags": _("Tags"),
    "timezone": _("Time zone"),
    "operator_code": _("Operator code"),
    "opted_out": _("Opted out"),
    "is_active": _("Active"),
}
_KNOWN_AS: Final = {
    "phone": "phone телефон мобильный mobile tel phonenumber номер номертелефона msisdn cell сотовый мобильныйтелефон",
    "first_name": "firstname имя name givenname forename",
    "last_name": "lastname фамилия surname familyname",
    "tags": "tags tag теги тег метки метка группа группы group groups segment сегмент",
    "timezone": "timezone tz часовойпояс пояс",
    "operator_code": "operatorcode operator кодоператора def",
    "opted_out": "optedout optout unsubscribed отписан отписка отказ",
    "is_active": "isactive active активен",
    "": "id createdat updatedat owner row reason no № строка причина",
}
_FIELD_OF: Final = {word: field for field, words in _KNOWN_AS.items() for word in words.split()}
_YES: Final = frozenset({"1", "true", "yes", "y", "да", "истина", "+"})
_NO: Final = frozenset({"0", "false", "no", "n", "нет", "ложь", "-"})


def guess(header: Sequence[str]) -> list[str]:
    """For each name of a column the field that it likely tells; what is none is an attribute."""
    mapping: list[str] = []
    for name in header:
        field = _FIELD_OF.get(re.sub(r"[\W_]+", "", name.lower()) or name.strip())
        if field is None:
            field = attribute_of(name)
        mapping.append("" if field in mapping and field != "tags" else field)
    return mapping


def attribute_of(name: str) -> str:
    """The attribute that a column called so tells, or nothing if none can be called so."""
    bare = re.sub(r"\W+", "_", name.strip().removeprefix(ATTRIBUTE)).strip("_")[:50]
    bare = bare if not bare or not bare[0].isdigit() else f"_{bare}"[:50]
    try:
        validate_attributes({bare: ""})
    except ValidationError:
        return ""
    return ATTRIBUTE + bare


def is_header(cells: Sequence[str]) -> bool:
    """Whether a first row names the columns: it holds no phone."""
    return not any(map(_is_phone, cells))


def guess_phone(columns: int, rows: Sequence[Sequence[str]]) -> int | None:
    """The column that holds phones, where its name does not tell."""
    counts = [sum(_is_phone(row[column]) for row in rows if column < len(row)) for column in range(columns)]
    best = max(range(columns), key=counts.__getitem__, default=None)
    return best if best is not None and counts[best] else None


def _is_phone(cell: str) -> bool:
    try:
        phones.normalise(cell)
    except ValidationError:
        return False
    return True


def reader(mapping: Sequence[str], tags: Sequence[str]) -> Callable[[list[str]], dict[str, Any]]:
    """A function that makes of a row's cells what `contacts_upsert` takes; an empty cell tells nothing.

    It raises ValidationError for a row that has more cells than there are columns.
    """
    plain = [(column, field) for column, field in enumerate(mapping) if field in FIELDS and field != "tags"]
    tagging = [column for column, field in enumerate(mapping) if field == "tags"]
    attributes = [
        (column, field[len(ATTRIBUTE) :]) for column, field in enumerate(mapping) if field.startswith(ATTRIBUTE)
    ]
    width = len(mapping)

    def read(cells: list[str]) -> dict[str, Any]:
        if len(cells) > width and any(cells[width:]):
            raise ValidationError(_("It has more cells than there are columns. Is a quote missing?"))
        texts = [(restored(cell) if cell[:1] == "'" else cell).strip() for cell in cells]
        texts += [""] * (width - len(texts))
        told: dict[str, Any] = {field: _value(field, texts[column]) for column, field in plain if texts[column]}
        named = [tag for column in tagging for tag in _split(texts[column])]
        if tags or named:
            told["tags"] = [*tags, *named]
        if attributes:
            told["attributes"] = {name: texts[column] for column, name in attributes if texts[column]}
        return told

    return read


def _split(text: str) -> list[str]:
    """Tags between commas; where there are none, between semicolons."""
    return [tag for tag in text.split("," if "," in text else ";") if tag.strip()]


def _value(field: str, text: str) -> Any:
    if field in ("opted_out", "is_active"):
        return True if text.lower() in _YES else False if text.lower() in _NO else text
    return text
