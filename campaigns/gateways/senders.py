"""Sender names: what recipients see as the sender. A gateway allows some, in all countries or only in some. Pure."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import phonenumbers
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from directory import phones

MAX_SENDERS: Final = 100
MAX_LENGTH: Final = 20
_NAME: Final = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 _.&'-]{3,11}")
_NUMBER: Final = re.compile(r"\+?[1-9][0-9]{6,14}|[0-9]{3,8}")
_SEPARATORS: Final = re.compile(r"[\s,;]+")
_SHOWN: Final = 40


class Sender(NamedTuple):
    """A sender name, and the countries where it is allowed; none: all."""

    name: str
    countries: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as gateways store it."""
        return {"name": self.name, "countries": list(self.countries)}


def read(text: str) -> list[Sender]:
    """Read one sender per line: `Vestnik: RU, KZ`. ValidationError with a message for each wrong line."""
    lines = [(number, line) for number, line in enumerate(map(str.strip, text.splitlines()), start=1) if line]
    if len(lines) > MAX_SENDERS:
        raise ValidationError(_("Enter at most %(number)d sender names.") % {"number": MAX_SENDERS})
    found: dict[str, Sender] = {}
    problems: list[str] = []
    for number, line in lines:
        try:
            sender = _read_line(line)
            _add(sender, found)
        except ValidationError as error:
            values = {"number": number, "line": line[:_SHOWN], "problem": " ".join(error.messages)}
            problems.append(_("Line %(number)d, “%(line)s”: %(problem)s") % values)
    if problems:
        raise ValidationError(problems)
    return list(found.values())


def check_name(name: str) -> None:
    """Raise ValidationError unless this can be a sender name."""
    if not (_NAME.fullmatch(name) or _NUMBER.fullmatch(name)):
        raise ValidationError(
            _(
                "A sender name has 3 to 11 Latin letters, digits, spaces or - _ . & ' and at least one letter; "
                "or it is a phone number with its country code, or a short code of 3 to 8 digits."
            )
        )


def lines_of(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return senders as `read` reads them: as stored, or without `countries`."""
    return "\n".join(f"{row['name']}: {', '.join(row.get('countries', ()))}".removesuffix(": ") for row in rows)


def _add(sender: Sender, found: dict[str, Sender]) -> None:
    if found.setdefault(sender.name.removeprefix("+"), sender) is not sender:
        raise ValidationError(_("This name is already in the list. Enter all its countries in one line."))


def recorded_words(value: str) -> str:
    """Return senders of the audit log on one line: `Vestnik: KZ, RU; 12345`."""
    return "; ".join(lines_of(json.loads(value)).splitlines()) if value != "None" else ""


def _read_line(line: str) -> Sender:
    name, _colon, countries = (part.strip() for part in line.partition(":"))
    check_name(name)
    codes = {code.upper() for code in _SEPARATORS.split(countries) if code}
    for code in sorted(codes - phonenumbers.SUPPORTED_REGIONS):
        raise ValidationError(_("“%(word)s” is not a country code such as KZ.") % {"word": code})
    return Sender(name, tuple(sorted(codes)))


class Senders:
    """The sender names that a gateway allows, from its stored rows. The first one for a country is its default."""

    def __init__(self, rows: Iterable[Mapping[str, Any]] = ()) -> None:
        self._countries = {str(row["name"]): frozenset(row["countries"]) for row in rows}
        self._by_country = any(self._countries.values())
        self._defaults: dict[str, str] = {}

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._countries)

    @property
    def names(self) -> list[str]:
        """All names, in order."""
        return list(self._countries)

    def countries_of(self, name: str) -> list[str]:
        """Return the countries where an allowed name is allowed; none: all."""
        return sorted(self._countries[name])

    def allows(self, name: str, country: str | None = None) -> bool:
        """Whether a name is allowed in a country; without one, anywhere."""
        countries = self._countries.get(name)
        return countries is not None and (country is None or not countries or country in countries)

    def default_in(self, country: str) -> str:
        """Return the default of a country; empty if no name is allowed there."""
        if country not in self._defaults:
            self._defaults[country] = next((name for name in self._countries if self.allows(name, country)), "")
        return self._defaults[country]

    def sender_of(self, phone: int, wanted: str) -> str:
        """Return the sender of a message to a phone: the wanted one if it is allowed there, else the default."""
        if not self._countries:
            return ""
        country = phones.country(phone) if self._by_country else ""
        return wanted if self.allows(wanted, country) else self.default_in(country)
