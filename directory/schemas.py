"""Types of fields in the JSON of the directory."""

from typing import Annotated

from django.core.exceptions import ValidationError
from ninja import Field, Schema
from pydantic import AfterValidator

from directory import phones
from directory.models import Contact, ContactQuerySet
from project.http.body import Line

Phone = Annotated[str, Field(max_length=40, coerce_numbers_to_str=True, examples=["+7 (999) 123-45-67"])]
OperatorCode = Annotated[str, Field(pattern=r"^[0-9]{3}$", examples=["999"])]
CountryCode = Annotated[str, Field(pattern=r"^[A-Z]{2}$", examples=["RU"])]
Name = Annotated[Line, Field(max_length=150, description="Letters of any script, spaces, hyphens, apostrophes")]
Zone = Annotated[Line, Field(max_length=64, examples=["Europe/Moscow"])]


def _normalised_phone(text: str) -> str:
    """Normalise a phone. Pydantic expects a ValueError."""
    try:
        return str(phones.normalise(text))
    except ValidationError as error:
        raise ValueError(" ".join(error.messages)) from error


NormalisedPhone = Annotated[Phone, AfterValidator(_normalised_phone)]


class ContactFilters(Schema):
    """Filters of contacts. All given filters must match."""

    phone: NormalisedPhone | None = Field(None, description="As people write it")
    operator_code: OperatorCode | None = None
    country: CountryCode | None = None
    tag: Line | None = Field(None, max_length=100, description="Its case does not matter")
    timezone: Zone | None = None
    q: Line | None = Field(None, max_length=100, description="Words of the name, digits of the phone")
    is_active: bool | None = None
    opted_out: bool | None = None

    def matching(self) -> ContactQuerySet:
        """Return the contacts that match."""
        filters = self.dict(include=ContactFilters.model_fields.keys() - {"tag"})
        return Contact.objects.narrow(**filters, tags=[self.tag] if self.tag else [])
