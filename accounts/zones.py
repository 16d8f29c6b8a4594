"""Time zones for people to choose from: those of the installation's own country first, by their distance from UTC."""

import zoneinfo
from datetime import datetime, timedelta

from babel.core import get_global
from django.conf import settings
from django.utils.timezone import now
from django.utils.translation import gettext as _

from accounts.models import known_timezones

Options = list[tuple[str, str]]


def zone_groups() -> list[tuple[str, Options]]:
    """Two option groups of a select, `Europe/Moscow` with the label `Europe/Moscow, UTC+3`."""
    countries = get_global("zone_territories")
    home = countries.get(settings.TIME_ZONE)
    near = {name for name, country in countries.items() if country == home} & known_timezones()
    far = {name for name in known_timezones() if "/" in name} | {"UTC"}
    return [
        (_("Nearby"), _labelled(near | {settings.TIME_ZONE})),
        (_("Everywhere else"), _labelled(far - near - {settings.TIME_ZONE})),
    ]


def _labelled(names: set[str]) -> Options:
    moment = now()
    by_offset = sorted((_offset(name, moment), name) for name in names)
    return [(name, f"{name}, {_written(offset)}") for offset, name in by_offset]


def _offset(name: str, moment: datetime) -> timedelta:
    return moment.astimezone(zoneinfo.ZoneInfo(name)).utcoffset() or timedelta()


def _written(offset: timedelta) -> str:
    """`UTC+5:30`, `UTC−3`."""
    hours, minutes = divmod(abs(offset) // timedelta(minutes=1), 60)
    return f"UTC{'+' if offset >= timedelta() else '−'}{hours}" + (f":{minutes:02}" if minutes else "")
