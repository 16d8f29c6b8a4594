"""Countries for people: names by ISO 3166 code in the active language, from babel. No I/O."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from babel.core import Locale
from babel.lists import format_list
from django.utils.translation import get_language, to_locale
from django.utils.translation import gettext as _

_MAX_NAMED: Final = 6


def country_name(code: str) -> str:
    """Return the name of a country in the active language; an unknown code stays as it is."""
    return _names(_locale()).get(code, code)


def country_options(codes: Iterable[str]) -> list[tuple[str, str]]:
    """Return options for countries, ordered by name: `("RU", "Russia")`."""
    return sorted(((code, country_name(code)) for code in codes), key=lambda option: option[1])


def country_list(codes: Iterable[str]) -> str:
    """Return the names of countries in their order as part of a sentence: `Russia and Kazakhstan`.

    Of a long list the first ones are named and the others counted.
    """
    names = [country_name(code) for code in dict.fromkeys(codes)]
    if len(names) > _MAX_NAMED:
        rest = len(names) - _MAX_NAMED + 1
        names = [*names[: _MAX_NAMED - 1], _("%(n)d more") % {"n": rest}]
    return format_list(names, locale=_locale())


def _locale() -> str:
    return to_locale(get_language() or "en")


@lru_cache
def _names(locale: str) -> dict[str, str]:
    return dict(Locale.parse(locale).territories)
