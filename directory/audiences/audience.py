"""The audience of a campaign as an immutable value, convertible from and to JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from directory.tags.names import tag_name

EQUALS, CONTAINS, EXISTS = "equals", "contains", "exists"
NEVER, WITHIN, NOT_WITHIN = "never", "within", "not_within"
MAX_CONDITIONS: Final = 3
MAX_DAYS: Final = 3650


class Condition(NamedTuple):
    """A condition on an attribute. `value` is unused with `exists`. Case is ignored."""

    name: str
    match: str
    value: str = ""


class LastContactedFilter(NamedTuple):
    """When a contact was last contacted: never, or (not) within the last `days`."""

    when: str
    days: int = 0


@dataclass(frozen=True)
class Audience:
    """The filter that selects recipients. Empty filters do not narrow. Sorted, so that equals compare equal."""

    operator_codes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    tags_match: str = "any"
    timezones: tuple[str, ...] = ()
    tags_none: tuple[str, ...] = ()
    attributes: tuple[Condition, ...] = ()
    last_contacted: LastContactedFilter | None = None
    countries: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Audience":
        """Read the JSON of a campaign. Lists become sorted and unique, tags normalised."""

        def names(key: str) -> set[str]:
            return set(data.get(key) or [])

        def tags(key: str) -> tuple[str, ...]:
            return tuple(sorted({tag_name(name) for name in names(key)}))

        last_contacted = data.get("written")
        return cls(
            operator_codes=tuple(sorted(names("operator_codes"))),
            tags=tags("tags"),
            tags_match=data.get("tags_match") or "any",
            timezones=tuple(sorted(names("timezones"))),
            tags_none=tags("tags_none"),
            attributes=tuple(sorted({_condition(each) for each in data.get("attributes") or []})),
            last_contacted=LastContactedFilter(
                last_contacted["when"], (last_contacted["when"] != NEVER and last_contacted.get("days")) or 0
            )
            if last_contacted
            else None,
            countries=tuple(sorted(names("countries"))),
        )

    def to_json(self) -> dict[str, Any]:
        """Return JSON as in the API. Filters that were added later appear only if they narrow."""
        result: dict[str, Any] = {
            "operator_codes": list(self.operator_codes),
            "tags": list(self.tags),
            "tags_match": self.tags_match,
            "timezones": list(self.timezones),
        }
        if self.tags_none:
            result["tags_none"] = list(self.tags_none)
        if self.attributes:
            result["attributes"] = [each._asdict() for each in self.attributes]
        if self.last_contacted:
            result["written"] = self.last_contacted._asdict()
        if self.countries:
            result["countries"] = list(self.countries)
        return result

    def all_filters(self) -> dict[str, Any]:
        """Return all filters as JSON, including empty ones."""
        return {"tags_none": [], "attributes": [], "written": None, "countries": [], **self.to_json()}

    def with_filters(self, filters: Mapping[str, Any]) -> "Audience":
        """Return a copy with the given filters (JSON) replaced; the others stay."""
        return Audience.from_json({**self.to_json(), **filters})

    def with_tag_renamed(self, old: str, new: str) -> "Audience":
        """Return a copy after a tag was renamed or merged into another."""

        def rename(names: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(sorted({new if name == old else name for name in names}))

        return replace(self, tags=rename(self.tags), tags_none=rename(self.tags_none))

    @property
    def is_unrestricted(self) -> bool:
        """Whether the audience is not narrowed."""
        return replace(self, tags_match="any") == Audience()


def _condition(data: Mapping[str, Any]) -> Condition:
    match = data["match"]
    return Condition(data["name"], match, "" if match == EXISTS else str(data.get("value") or ""))
