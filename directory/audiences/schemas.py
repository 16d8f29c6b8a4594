"""JSON schemas of audiences."""

from typing import Annotated, Any, Literal

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from ninja import Field, Schema
from pydantic import SerializerFunctionWrapHandler, Strict, model_serializer, model_validator

from directory.audiences.audience import MAX_CONDITIONS, MAX_DAYS, Audience
from directory.models import SavedAudience
from directory.schemas import CountryCode
from project.http.body import Body, Line, Text


class ConditionIn(Body):
    """A condition on an attribute, ignoring case; `exists` needs no value."""

    name: Annotated[Line, Field(min_length=1, max_length=50)]
    match: Literal["equals", "contains", "exists"] = "equals"
    value: Annotated[Text, Field(max_length=100)] = ""


class LastContactedIn(Body):
    """When a contact was last contacted: never, or (not) within the last `days`."""

    when: Literal["never", "within", "not_within"]
    days: Annotated[int, Strict(), Field(ge=0, le=MAX_DAYS)] = 0

    @model_validator(mode="after")
    def _has_days(self) -> "LastContactedIn":
        if self.when != "never" and not self.days:
            raise ValueError("Enter the number of days.")
        return self


class AudienceIn(Body):
    """The filter that selects recipients. Empty lists do not narrow, so an empty object selects everyone."""

    operator_codes: list[Annotated[str, Field(pattern=r"^[0-9]{3}$")]] = Field(
        default_factory=list, max_length=1000, examples=[["999", "903"]]
    )
    tags: list[Annotated[Line, Field(min_length=1, max_length=50)]] = Field(
        default_factory=list, max_length=50, description="Their case does not matter", examples=[["vip"]]
    )
    tags_match: Literal["any", "all"] = "any"
    timezones: list[Annotated[Line, Field(max_length=64)]] = Field(
        default_factory=list, max_length=600, examples=[["Europe/Moscow"]]
    )
    countries: list[CountryCode] = Field(default_factory=list, max_length=300, examples=[["RU", "KZ"]])
    tags_none: list[Annotated[Line, Field(min_length=1, max_length=50)]] = Field(
        default_factory=list, max_length=50, description="Contacts with any of these tags are excluded"
    )
    attributes: list[ConditionIn] = Field(default_factory=list, max_length=MAX_CONDITIONS)
    written: LastContactedIn | None = None
    saved: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = Field(
        default=None, description="Id of a saved audience; its filter is copied and replaces all others here"
    )

    def value(self) -> Audience:
        """Return the audience. ValidationError if the saved audience does not exist."""
        if self.saved is None:
            return Audience.from_json(self.model_dump())
        saved = SavedAudience.objects.filter(pk=self.saved).first()
        if saved is None:
            raise ValidationError({"audience": _("This saved audience does not exist.")})
        return saved.audience_filter


class AudiencePatch(AudienceIn):
    """Changes to an audience: given filters are replaced, the others stay."""

    tags_match: Literal["any", "all"] = Field(default_factory=lambda: "any")

    def changes(self) -> dict[str, Any]:
        """Return the given filters as JSON; with a saved audience, all of them."""
        return self.model_dump(include=self.model_fields_set) if self.saved is None else self.value().all_filters()


class AudienceOut(Schema):
    """See `AudienceIn`. All but the first five filters appear only if they narrow."""

    operator_codes: list[str]
    tags: list[str]
    tags_match: str
    timezones: list[str]
    countries: list[str] = Field(default_factory=list)
    tags_none: list[str] | None = None
    attributes: list[ConditionIn] | None = None
    written: LastContactedIn | None = None

    @model_serializer(mode="wrap")
    def _without_empty(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in dump(self).items() if value is not None}
