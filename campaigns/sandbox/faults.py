"""The faults of the sandbox: an immutable value, validated on change."""

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
    """Invalid names or values; `errors` has them by name."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {reason}" for name, reason in errors.items()))
        self.errors = dict(errors)


def _share(meaning: Any) -> Any:
    """A field with the share of requests (0 to 1) that get this kind of fault."""
    return field(default=0.0, metadata={"meaning": meaning, "limit": 1, "share": True})


def _setting(default: float, meaning: Any, limit: float = DAY) -> Any:
    """A field that configures faults or answers."""
    return field(default=default, metadata={"meaning": meaning, "limit": limit, "share": False})


@dataclass(frozen=True)
class Faults:
    """Shares of the kinds of fault, and their settings. A request gets one fault at most.

    The names are the same on the command line, in `PUT /faults` and on the page.
    """

    error: float = _share(gettext_lazy("500, internal error of the gateway"))
    unavailable: float = _share(gettext_lazy("503 with Retry-After"))
    throttle: float = _share(gettext_lazy("429 with Retry-After"))
    unauthorized: float = _share(gettext_lazy("401, although the token is correct"))
    refuse: float = _share(gettext_lazy("400, permanently rejected"))
    no_money: float = _share(gettext_lazy("402, the account has no money"))
    hang: float = _share(gettext_lazy("no response for a long time, then the connection closes"))
    reset: float = _share(gettext_lazy("connection reset, message not accepted"))
    html: float = _share(gettext_lazy("200 with an HTML page, message not accepted"))
    broken: float = _share(gettext_lazy("200 with truncated JSON, message not accepted"))
    code: float = _share(gettext_lazy("200 with code 17, message not accepted"))
    huge: float = _share(gettext_lazy("200 with more than 64 KiB, message not accepted"))
    drip: float = _share(gettext_lazy("message accepted, response sent at one byte per second"))
    redirect: float = _share(gettext_lazy("302 redirect that clients must not follow"))
    lost: float = _share(gettext_lazy("message accepted, response lost in a connection reset"))

    latency: float = _setting(0.0, gettext_lazy("seconds before every response"))
    jitter: float = _setting(0.0, gettext_lazy("maximum extra seconds, chosen at random"))
    retry_after: int = _setting(1, gettext_lazy("seconds to wait in the Retry-After of 429 and 503"))
    retry_after_date: bool = _setting(False, gettext_lazy("send half of the Retry-After headers as dates"))
    hang_seconds: float = _setting(30.0, gettext_lazy("seconds until a hanging connection closes"))
    early_grace: float = _setting(0.25, gettext_lazy("grace period in seconds before requests count as too early"))
    receipts: float = _setting(1.0, gettext_lazy("share of accepted messages that get a receipt"), 1)
    receipt_after: float = _setting(1.0, gettext_lazy("maximum seconds until a receipt; each waits a random part"))
    receipt_twice: float = _setting(0.0, gettext_lazy("share of receipts that are sent twice"), 1)
    receipt_early: bool = _setting(False, gettext_lazy("send receipts before the response"))
    undelivered: float = _setting(0.0, gettext_lazy("share of receipts that say undelivered"), 1)
    outage: bool = _setting(False, gettext_lazy("every request ends in a connection reset"))

    def updated(self, changes: Mapping[str, object]) -> Self:
        """Return a copy with `changes`; FaultsError if a name or value is invalid or the shares exceed 1."""
        errors = {name: reason for name, value in changes.items() if (reason := _wrong(name, value))}
        if errors:
            raise FaultsError(errors)
        faults = dataclasses.replace(self, **changes)  # type: ignore[arg-type]
        if faults.total > 1:
            raise FaultsError(
                {
                    name: _("the sum of all shares must not exceed 1")
                    for name in changes
                    if FIELDS[name].metadata["share"]
                }
            )
        return faults

    def updated_from_text(self, changes: Mapping[str, str]) -> Self:
        """`updated` for values as users type them: `0.05`, `true`."""
        return self.updated({name: _value(text) for name, text in changes.items()})

    def pick(self, number: float) -> str | None:
        """The kind of fault for `number`, drawn uniformly from [0, 1); None for no fault."""
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
        """The share of requests with any fault, rounded so that 0.1 + 0.2 + 0.7 is 1."""
        return round(sum(share for share, kind in self._shares), 9)

    @cached_property
    def _shares(self) -> list[tuple[float, str]]:
        """The kinds with a share above 0."""
        return [(share, kind) for kind in KINDS if (share := getattr(self, kind))]


FIELDS: Final = {each.name: each for each in dataclasses.fields(Faults)}
RECEIPTS: Final = ("receipts", "receipt_after", "receipt_twice", "receipt_early", "undelivered")
"""The settings of receipts, which only providers send."""
KINDS: Final = [name for name, each in FIELDS.items() if each.metadata["share"]]


def _wrong(name: str, value: object) -> str:
    """Why `name` can't be set to `value`, or an empty string."""
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
    """`text` parsed as JSON; if invalid, the text itself, for the validation to refuse."""
    try:
        return json.loads(text)
    except ValueError:
        return text
