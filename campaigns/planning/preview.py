"""Preview of a campaign: number of recipients, length of the text, and samples."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from campaigns.text import PLACEHOLDER, Encoding, fallbacks, measure, normalise, render, value_of, values_of
from directory.audiences.audience import Audience
from directory.audiences.services import audience_size
from directory.models import Contact

SAMPLES = 20
_FIRST_SAMPLES: Final = 14
_MAX_MEASURED = 500


@dataclass(frozen=True)
class Sample:
    """The text for one contact; `missing` are the placeholders for which the contact has no value."""

    phone: int
    name: str
    text: str
    parts: int
    missing: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Gap:
    """A placeholder for which `number` of `measured` recipients have no value, and their fallback."""

    name: str
    fallback: str
    number: int
    measured: int


@dataclass(frozen=True)
class MeanSize:
    """How many parts a text takes: for the first sample, and on average."""

    parts: int
    mean: float


@dataclass(frozen=True)
class Preview:
    """`encoding`, `characters` and `parts` are those of the longest sample; `total_parts` is for all recipients.

    If the text has placeholders, `total_parts` is an estimate from the first recipients. The samples include the
    longest text and some contacts without a value for a placeholder. `sizes` are those of the text and of the
    alternatives to it, in their order; empty without recipients.
    """

    recipients: int
    encoding: Encoding
    characters: int
    parts: int
    total_parts: int
    samples: list[Sample]
    gaps: list[Gap]
    sizes: list[MeanSize]


def campaign_preview(
    *, text: str, audience: Audience, recipients: int | None = None, alternatives: Sequence[str] = ()
) -> Preview:
    """Measure `text` for the contacts that match `audience` now; `recipients` is their number, if known."""
    text = normalise(text)
    found = Contact.objects.contactable().matching(audience)
    limit = SAMPLES if PLACEHOLDER.search(text) is None else _MAX_MEASURED
    contacts = list(found.order_by("pk")[:limit])
    samples = [_sample(text, contact) for contact in contacts]
    measured = [measure(sample.text) for sample in samples] or [measure(render(text, {}))]
    longest = max(measured, key=lambda size: (size.parts, size.characters))
    parts = [[sample.parts for sample in samples], *(_parts(version, contacts) for version in alternatives)]
    sizes = [MeanSize(each[0], sum(each) / len(each)) for each in parts] if samples else []
    number = audience_size(audience) if recipients is None else recipients
    return Preview(
        recipients=number,
        encoding=longest.encoding,
        characters=longest.characters,
        parts=longest.parts,
        total_parts=round(sizes[0].mean * number) if sizes else 0,
        samples=_representative(samples),
        gaps=_gaps(text, samples),
        sizes=sizes,
    )


def _parts(text: str, contacts: Sequence[Contact]) -> list[int]:
    """The parts of a text for each contact."""
    return [measure(render(text, _values_of(contact))).parts for contact in contacts]


def _values_of(contact: Contact) -> dict[str, object]:
    return values_of(
        first_name=contact.first_name,
        last_name=contact.last_name,
        phone=contact.phone,
        attributes=contact.attributes,
    )


def _sample(text: str, contact: Contact) -> Sample:
    values = _values_of(contact)
    rendered = render(text, values)
    missing = frozenset(name for name in fallbacks(text) if value_of(values, name) in (None, ""))
    return Sample(contact.phone, contact.full_name, rendered, measure(rendered).parts, missing)


def _representative(samples: list[Sample]) -> list[Sample]:
    """The first samples, the longest one, and those with missing values."""
    longest = sorted(samples, key=lambda sample: (sample.parts, len(sample.text)), reverse=True)
    missing = (sample for sample in samples if sample.missing)
    ordered = [*samples[:_FIRST_SAMPLES], *longest[:1], *missing, *samples[_FIRST_SAMPLES:]]
    return list(dict.fromkeys(ordered))[:SAMPLES]


def _gaps(text: str, samples: list[Sample]) -> list[Gap]:
    numbers = Counter(name for sample in samples for name in sample.missing)
    return [
        Gap(name, fallback, numbers[name], len(samples)) for name, fallback in fallbacks(text).items() if numbers[name]
    ]
