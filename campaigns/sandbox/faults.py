"""How the sandbox misbehaves: one frozen value, checked when it is changed."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Self

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

DAY: Final = 86_400


class FaultsError(ValueError):
    """Names or values that can't be; `errors` tells them by name."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {reason}" for name, reason in errors.items()))
        self.errors = dict(errors)


def _share(meaning: Any) -> Any:
    """A field that holds the share of requests (0 to 1) to which one kind of fault happens."""
    return field(default=0.0, metadata={"meaning": meaning, "limit": 1, "share": True})


def _setting(default: float, meaning: Any, limit: float = DAY) -> Any:
    """A field that shapes the faults, or the answers as a whole."""
    return field(default=default, metadata={"meaning": meaning, "limit": limit, "share": False})


@dataclass(frozen=True)
class Faults:
    """Shares of the kinds of fault, of which each request meets one at most, and what shapes them.

    Every name here is the name on the command line, in `PUT /faults` and on the page.
    """

    error: float = _share(gettext_lazy("500, the gateway's own error"))
    unavailable: float = _share(gettext_lazy("503 with Retry-After"))
    throttle: float = _share(gettext_lazy("429 with Retry-After"))
    unauthorized: float = _share(gettext_lazy("401, although the token is right"))
    refuse: float = _share(gettext_lazy("400, refused for good"))
    hang: float = _share(gettext_lazy("no answer for a long time, then the connection closes"))
    reset: float = _share(gettext_lazy("connection reset, message not accepted"))
    html: float = _share(gettext_lazy("200 with an HTML page, message not accepted"))
    broken: float = _share(gettext_lazy("200 with JSON that is cut off, message not accepted"))
    code: float = _share(gettext_lazy("200 with code 17, message not accepted"))
    huge: float = _share(gettext_lazy("200 with more than 64 KiB, message not accepted"))
    drip: float = _share(gettext_lazy("message accepted, the answer comes at one byte a second"))
    redirect: float = _share(gettext_lazy("302 to a page that nobody should follow it to"))
    lost: float = _share(gettext_lazy("message accepted, the answer lost in a connection reset"))

    latency: float = _setting(0.0, gettext_lazy("seconds before every answer"))
    jitter: float = _setting(0.0, gettext_lazy("at most so many seconds more, at random"))
    retry_after: int = _setting(1, gettext_lazy("seconds that 429 and 503 ask to wait"))
    retry_after_date: bool = _setting(False, gettext_lazy("half of the Retry-After headers are dates"))
    hang_seconds: float = _setting(30.0, gettext_lazy("seconds until a hanging connection closes"))
    early_grace: float = _setting(0.25, gettext_lazy("seconds in which requests already under way aren't early"))
    outage: bool = _setting(False, gettext_lazy("every request meets a connection reset"))

    def updated(self, changes: Mapping[str, object]) -> Self:
        """These faults with `changes` made; FaultsError if a name is unknown, a value wrong or the shares exceed 1."""
        errors = {name: reason for name, value in changes.items() if (reason := _wrong(name, value))}
        if errors:
            raise FaultsError(errors)
        faults = dataclasses.replace(self, **changes)  # type: ignore[arg-type]
        if faults.total > 1:
            raise FaultsError(
                {name: _("all shares together must not exceed 1") for name in changes if FIELDS[name].metadata["share"]}
            )
        return faults

    def updated_from_text(self, changes: Mapping[str, str]) -> Self:
        """`updated` for values as people type them: `0.05`, `true`."""
        return self.updated({name: _value(text) for name, text in changes.items()})

    def pick(self, number: float) -> str | None:
        """The kind of fault that `number`, drawn evenly from [0, 1), stands for; None if all goes well."""
        for share, kind in self._shares:
            if number < share:
                return kind
            number -= share
        return None

    def as_dict(self) -> dict[str, float | bool]:
        """Every setting by name."""
        return dataclasses.asdict(self)

    @property
    def total(self) -> float:
        """The share of requests that meet any fault, rounded so that 0.1 + 0.2 + 0.7 is 1."""
        return round(sum(share for share, kind in self._shares), 9)

    @cached_property
    def _shares(self) -> list[tuple[float, str]]:
        """The kinds that happen at all."""
        return [(share, kind) for kind in KINDS if (share := getattr(self, kind))]


FIELDS: Final = {each.name: each for each in dataclasses.fields(Faults)}
KINDS: Final = [name for name, each in FIELDS.items() if each.metadata["share"]]


def _wrong(name: str, value: object) -> str:
    """Why `name` can't be set to `value`, or nothing."""
    if name not in FIELDS:
        return _("no such setting")
    kind, limit = FIELDS[name].type, FIELDS[name].metadata["limit"]
    if kind is bool:
        return "" if isinstance(value, bool) else _("must be true or false")
    if kind is int and (not isinstance(value, int) or isinstance(value, bool)):
        return _("must be a whole number")
    # `not (…)` refuses NaN too.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= limit:
        return _("must be a number from 0 to %(limit)d") % {"limit": limit}
    return ""


def _value(text: str) -> object:
    """What `text` means in JSON; the text itself if nothing, so that the check can refuse it by name."""
    try:
        return json.loads(text)
    except ValueError:
        return text
