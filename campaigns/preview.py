"""What a campaign would do before it does it: how many recipients, how long a text, what some of them would read."""

from collections import Counter
from dataclasses import dataclass
from typing import Final

from campaigns.text import PLACEHOLDER, Encoding, fallbacks, measure, render, values_of
from directory.audience import Audience
from directory.models import Contact
from directory.saved import audience_number

SAMPLES = 20
_PLAIN: Final = 14
_MEASURED = 500


@dataclass(frozen=True)
class Sample:
    """The text as one contact would read it; `missing` are the placeholders that it has nothing for."""

    phone: int
    name: str
    text: str
    parts: int
    missing: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Gap:
    """A placeholder that `number` of the `looked_at` recipients have nothing for, and what they read instead."""

    name: str
    fallback: str
    number: int
    looked_at: int


@dataclass(frozen=True)
class Preview:
    """`encoding`, `characters` and `parts` are of the longest text seen; `total_parts` is over all recipients.

    Where the text holds placeholders, `total_parts` is an estimate from the first recipients. Among the samples are the
    longest text, and some of contacts that a placeholder has nothing for.
    """

    recipients: int
    encoding: Encoding
    characters: int
    parts: int
    total_parts: int
    samples: list[Sample]
    gaps: list[Gap]


def campaign_preview(*, text: str, audience: Audience, recipients: int | None = None) -> Preview:
    """Measure `text` for those whom `audience` picks now; how many these are is counted unless it is known."""
    contacts = Contact.objects.writable().matching(audience)
    read = SAMPLES if PLACEHOLDER.search(text) is None else _MEASURED
    samples = [_sample(text, contact) for contact in contacts.order_by("pk")[:read]]
    sizes = [measure(sample.text) for sample in samples] or [measure(render(text, {}))]
    longest = max(sizes, key=lambda size: (size.parts, size.characters))
    mean = sum(sample.parts for sample in samples) / len(samples) if samples else 0
    number = audience_number(audience) if recipients is None else recipients
    return Preview(
        recipients=number,
        encoding=longest.encoding,
        characters=longest.characters,
        parts=longest.parts,
        total_parts=round(mean * number),
        samples=_telling(samples),
        gaps=_gaps(text, samples),
    )


def _sample(text: str, contact: Contact) -> Sample:
    values = values_of(
        first_name=contact.first_name,
        last_name=contact.last_name,
        phone=contact.phone,
        attributes=contact.attributes,
    )
    rendered = render(text, values)
    missing = frozenset(name for name in fallbacks(text) if values.get(name) in (None, ""))
    return Sample(contact.phone, contact.full_name, rendered, measure(rendered).parts, missing)


def _telling(samples: list[Sample]) -> list[Sample]:
    """The first of them, those who miss something, and the longest."""
    longest = sorted(samples, key=lambda sample: (sample.parts, len(sample.text)), reverse=True)
    missing = (sample for sample in samples if sample.missing)
    order = [*samples[:_PLAIN], *longest[:1], *missing, *samples[_PLAIN:]]
    return list(dict.fromkeys(order))[:SAMPLES]


def _gaps(text: str, samples: list[Sample]) -> list[Gap]:
    numbers = Counter(name for sample in samples for name in sample.missing)
    return [
        Gap(name, fallback, numbers[name], len(samples)) for name, fallback in fallbacks(text).items() if numbers[name]
    ]
