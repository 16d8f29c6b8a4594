"""Choices of time zones: first those of the installation's country, ordered by their distance from UTC."""

import zoneinfo
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import cache

from babel.core import get_global
from babel.dates import get_timezone_location
from django.conf import settings
from django.utils.translation import get_language, to_locale
from django.utils.translation import gettext as _

from accounts.models import known_timezones
from project.core.clock import now

Options = list[tuple[str, str]]


def zone_groups() -> list[tuple[str, Options]]:
    """Return two option groups of a select: near zones by city, `Moscow, UTC+3`, and other zones by name."""
    countries = get_global("zone_territories")
    home = countries.get(settings.TIME_ZONE)
    near = {name for name, country in countries.items() if country == home} & known_timezones()
    far = {name for name in known_timezones() if "/" in name} | {"UTC"}
    return [
        (_("Nearby"), zone_options(near | {settings.TIME_ZONE})),
        (
            _("All others"),
            [(name, f"{name}, {offset}") for name, offset in _by_offset(far - near - {settings.TIME_ZONE})],
        ),
    ]


def zone_options(names: Iterable[str]) -> Options:
    """Return options for zones by city, from west to east: `Europe/Moscow` has the label `Moscow, UTC+3`."""
    return [(name, f"{place(name)}, {offset}") for name, offset in _by_offset(names)]


def place(zone: str) -> str:
    """Return the city of a time zone, in the active language."""
    return _city(zone, to_locale(get_language() or "en"))


@cache
def _city(zone: str, locale: str) -> str:
    if zone not in known_timezones() or "/" not in zone:
        return zone.rsplit("/", maxsplit=1)[-1].replace("_", " ")
    return get_timezone_location(zone, locale=locale, return_city=True)


def _by_offset(names: Iterable[str]) -> list[tuple[str, str]]:
    moment = now()
    return [(name, _format_offset(offset)) for offset, name in sorted((_offset(name, moment), name) for name in names)]


def _offset(name: str, moment: datetime) -> timedelta:
    if name not in known_timezones():
        return timedelta()
    return moment.astimezone(zoneinfo.ZoneInfo(name)).utcoffset() or timedelta()


def _format_offset(offset: timedelta) -> str:
    """Format an offset: `UTC+5:30`, `UTC−3`."""
    hours, minutes = divmod(abs(offset) // timedelta(minutes=1), 60)
    return f"UTC{'+' if offset >= timedelta() else '−'}{hours}" + (f":{minutes:02}" if minutes else "")
