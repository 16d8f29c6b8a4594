"""Field types and base classes of JSON bodies."""

import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final, TypeVar

from ninja import Schema
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, ConfigDict, Field, Strict, StringConstraints

from project.core.money import MAX_AMOUNT, PLACES, from_micros


def _storable(text: str) -> str:
    """Refuse NUL characters, which PostgreSQL can't store, and unpaired surrogates."""
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("NUL characters and lone surrogates are not allowed.")
    return text


V = TypeVar("V", bound=Callable[..., Any])

_BEGINS_WITH_DATE: Final = re.compile(r"\s*[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
Text = Annotated[str, AfterValidator(_storable)]
Line = Annotated[Text, StringConstraints(strip_whitespace=True)]


def _plausible_year(value: datetime) -> datetime:
    """Refuse years that break calendar arithmetic."""
    if not 2000 <= value.year <= 2100:
        raise ValueError("The year must be between 2000 and 2100.")
    return value


def _date_text(value: Any) -> Any:
    """Require a text that begins with a date, because the unit of a number is unclear."""
    if not isinstance(value, datetime) and not (isinstance(value, str) and _BEGINS_WITH_DATE.match(value)):
        raise ValueError("Enter a date and time, for example 2026-11-24T10:00:00+03:00.")
    return value


Moment = Annotated[datetime, BeforeValidator(_date_text), AfterValidator(_plausible_year)]
AwareMoment = Annotated[AwareDatetime, BeforeValidator(_date_text), AfterValidator(_plausible_year)]
Flag = Annotated[bool, Strict()]
Amount = Annotated[Decimal, Field(ge=0, le=MAX_AMOUNT, decimal_places=PLACES, examples=["250.00"])]
"""An amount of money in the installation's currency: a number, or, to be exact, a text."""
AmountOut = Annotated[str, BeforeValidator(lambda value: str(from_micros(value)) if isinstance(value, int) else value)]
"""An amount in an answer, from micros: an exact text."""


def any_query(view: V) -> V:
    """Mark an API operation that accepts unknown query parameters."""
    view.any_query = True  # type: ignore[attr-defined]
    return view


class Body(Schema):
    """A JSON request. Unknown fields are refused, because they are likely misspelt."""

    model_config = ConfigDict(extra="forbid")


class Error(Schema):
    """Every answer of 400 and above: a sentence, or for 422 a list with the location of each invalid field."""

    detail: str | list[dict[str, Any]]
