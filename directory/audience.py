"""Which contacts a campaign is for, as a value: it comes from JSON, goes back into it, and compares."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from directory.names import tag_name

EQUALS, CONTAINS, EXISTS = "equals", "contains", "exists"
NEVER, WITHIN, NOT_WITHIN = "never", "within", "not_within"
MAX_CONDITIONS: Final = 3
MAX_DAYS: Final = 3650


class Condition(NamedTuple):
    """What an attribute must be like; `value` means nothing where it only has to exist. Case does not matter."""

    name: str
    match: str
    value: str = ""


class Written(NamedTuple):
    """When a contact was last written to: never, or (not) within the last `days`."""

    when: str
    days: int = 0


@dataclass(frozen=True)
class Audience:
    """Which contacts a campaign is for; what is empty does not narrow. Sorted, so that equals compare equal."""

    operator_codes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    tags_match: str = "any"
    timezones: tuple[str, ...] = ()
    tags_none: tuple[str, ...] = ()
    attributes: tuple[Condition, ...] = ()
    written: Written | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Audience":
        """From the JSON of a campaign, each list sorted and without repeats, tags as they are kept."""

        def names(key: str) -> set[str]:
            return set(data.get(key) or [])

        def tags(key: str) -> tuple[str, ...]:
            return tuple(sorted({tag_name(name) for name in names(key)}))

        written = data.get("written")
        return cls(
            operator_codes=tuple(sorted(names("operator_codes"))),
            tags=tags("tags"),
            tags_match=data.get("tags_match") or "any",
            timezones=tuple(sorted(names("timezones"))),
            tags_none=tags("tags_none"),
            attributes=tuple(sorted({_condition(each) for each in data.get("attributes") or []})),
            written=Written(written["when"], (written["when"] != NEVER and written.get("days")) or 0)
            if written
            else None,
        )

    def to_json(self) -> dict[str, Any]:
        """As the API tells it; what was added to it later is there only if it narrows."""
        known: dict[str, Any] = {
            "operator_codes": list(self.operator_codes),
            "tags": list(self.tags),
            "tags_match": self.tags_match,
            "timezones": list(self.timezones),
        }
        if self.tags_none:
            known["tags_none"] = list(self.tags_none)
        if self.attributes:
            known["attributes"] = [each._asdict() for each in self.attributes]
        if self.written:
            known["written"] = self.written._asdict()
        return known

    def renamed(self, old: str, new: str) -> "Audience":
        """The same, after a tag has got another name or has become one with another."""

        def changed(names: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(sorted({new if name == old else name for name in names}))

        return replace(self, tags=changed(self.tags), tags_none=changed(self.tags_none))

    @property
    def everyone(self) -> bool:
        """Whether it narrows nothing."""
        return replace(self, tags_match="any") == Audience()


def _condition(data: Mapping[str, Any]) -> Condition:
    match = data["match"]
    return Condition(data["name"], match, "" if match == EXISTS else str(data.get("value") or ""))
