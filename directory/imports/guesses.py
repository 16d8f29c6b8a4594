"""Guesses of the column mapping by column names and contents. No I/O."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from django.core.exceptions import ValidationError

from directory import phones
from directory.fields import FIELDS
from directory.imports.columns import attribute_of
from directory.imports.phone_cells import phone_of

_IGNORED: Final = "id createdat updatedat owner row reason no № строка причина"
_FIELD_OF: Final = {word: field.name for field in FIELDS for word in field.synonyms.split()} | dict.fromkeys(
    _IGNORED.split(), ""
)
# A full name is used as first name only if no column has that.
_WHOLE_NAME: Final = "name"
_MOBILE: Final = re.compile(r"mobile|cell|iphone|sms|смс|мобильн|сотов|переносн|^моб")
_PHONE: Final = re.compile(r"phone|телефон")
_SOMEBODY_ELSES: Final = re.compile(
    r"assistant|помощник|секретар|company|организац|callback|обратн|radio|радио|car|машин|другой|other"
)
_NOT_A_PHONE: Final = re.compile(
    r"fax|факс|pager|пейджер|telex|телекс|type$|label$|тип$|(?<!ms)isdn|tty|ttd|телетайп|status|статус|phonetic|extension|добавочн"
)


class _PhoneCounts(NamedTuple):
    """How many cells of a column have a mobile phone, and any phone."""

    mobiles: int
    phones: int


def guess(header: Sequence[str], rows: Sequence[Sequence[str]] = ()) -> list[str]:
    """Return the likely field of each column. An unknown column becomes an attribute, or nothing."""
    words = [re.sub(r"[\W_]+", "", name.lower()) or name.strip() for name in header]
    mapping: list[str] = []
    for name, word in zip(header, words, strict=True):
        field = _FIELD_OF.get(word)
        if field is None:
            field = "" if _rank(word) is not None or _is_label(word) else attribute_of(name)
        if field == "phone" or (field and field in mapping and field != "tags"):
            field = ""
        mapping.append(field)
    if "first_name" not in mapping and _WHOLE_NAME in words:
        mapping[words.index(_WHOLE_NAME)] = "first_name"
    phone = _phone_column(words, mapping, rows)
    if phone is not None:
        mapping[phone] = "phone"
        _keep_other_countries(header, mapping, rows)
    return mapping


def _keep_other_countries(header: Sequence[str], mapping: list[str], rows: Sequence[Sequence[str]]) -> None:
    """Make a column of countries an attribute unless it only repeats what the phones say, as in our exports."""
    if "country" not in mapping:
        return
    country, phone = mapping.index("country"), mapping.index("phone")
    cells = [(row[country].strip(), row[phone]) for row in rows if len(row) > max(country, phone)]
    if not all(_is_of_country(cell, code) for code, cell in cells if code):
        mapping[country] = attribute_of(header[country])


def _is_of_country(cell: str, code: str) -> bool:
    """Whether the phone in a cell is of this country, or unreadable."""
    try:
        return phones.country(phones.normalise(phone_of(cell), code)) == code
    except ValidationError:
        return True


def _phone_column(words: Sequence[str], mapping: Sequence[str], rows: Sequence[Sequence[str]]) -> int | None:
    """Return the phone column: among those named so, the one with most mobiles; if they have none, another column."""
    counts = [_count_phones(column, rows) for column in range(len(words))]
    ranks = {column: rank for column, word in enumerate(words) if (rank := _rank(word)) is not None}
    with_phones = {column: rank for column, rank in ranks.items() if counts[column].phones}
    if with_phones:
        return max(
            with_phones,
            key=lambda column: (counts[column].mobiles, counts[column].phones, with_phones[column], -column),
        )
    other_columns = [
        column for column, field in enumerate(mapping) if column not in ranks and not _NOT_A_PHONE.search(words[column])
    ]
    best = max(other_columns, key=lambda column: (*counts[column], -column), default=None)
    if best is not None and counts[best].phones:
        return best
    return max(ranks, key=lambda column: (ranks[column], -column), default=None)


def _rank(word: str) -> int | None:
    """Rate how likely a column has the phone, by its name; None if it does not."""
    if _NOT_A_PHONE.search(word):
        return None
    if _MOBILE.search(word):
        return 3
    if _FIELD_OF.get(word) == "phone":
        return 2
    if not _PHONE.search(word):
        return None
    return 0 if _SOMEBODY_ELSES.search(word) else 1


def _is_label(word: str) -> bool:
    """Whether the column only labels another, like `Phone 1 - Type`."""
    return re.fullmatch(r"(phone|email|address|телефон)\d*(type|label|тип)", word) is not None


def _count_phones(column: int, rows: Sequence[Sequence[str]]) -> _PhoneCounts:
    numbers = [number for row in rows if column < len(row) and (number := phone_in(row[column])) is not None]
    return _PhoneCounts(sum(map(phones.is_mobile, numbers)), len(numbers))


def phone_in(cell: str) -> int | None:
    """Return the phone in a cell, if there is one."""
    try:
        return phones.normalise(phone_of(cell))
    except ValidationError:
        return None


def is_header(cells: Sequence[str]) -> bool:
    """Whether a first row is a header: it has no phone."""
    return all(phone_in(cell) is None for cell in cells)
