"""Types of fields in the JSON of the directory."""

from typing import Annotated

from django.core.exceptions import ValidationError
from ninja import Field
from pydantic import AfterValidator

from directory import phones
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
