"""What a campaign would do before it does it: how many recipients, how long a text, what some of them would read."""

from dataclasses import dataclass

from campaigns.text import PLACEHOLDER, Encoding, measure, render, values_of
from directory.audience import Audience
from directory.models import Contact
from directory.saved import audience_number

SAMPLES = 5
_MEASURED = 500


@dataclass(frozen=True)
class Sample:
    """The text as one contact would read it."""

    phone: int
    name: str
    text: str
    parts: int


@dataclass(frozen=True)
class Preview:
    """`encoding`, `characters` and `parts` are of the longest text seen; `total_parts` is over all recipients.

    Where the text holds placeholders, `total_parts` is an estimate from the first recipients.
    """

    recipients: int
    encoding: Encoding
    characters: int
    parts: int
    total_parts: int
    samples: list[Sample]


def campaign_preview(*, text: str, audience: Audience) -> Preview:
    """Measure `text` for those whom `audience` picks now."""
    contacts = Contact.objects.writable().matching(audience)
    recipients = audience_number(audience)
    read = SAMPLES if PLACEHOLDER.search(text) is None else _MEASURED
    samples = [_sample(text, contact) for contact in contacts.order_by("pk")[:read]]
    sizes = [measure(sample.text) for sample in samples] or [measure(render(text, {}))]
    longest = max(sizes, key=lambda size: (size.parts, size.characters))
    mean = sum(sample.parts for sample in samples) / len(samples) if samples else 0
    return Preview(
        recipients=recipients,
        encoding=longest.encoding,
        characters=longest.characters,
        parts=longest.parts,
        total_parts=round(mean * recipients),
        samples=samples[:SAMPLES],
    )


def _sample(text: str, contact: Contact) -> Sample:
    values = values_of(
        first_name=contact.first_name,
        last_name=contact.last_name,
        phone=contact.phone,
        attributes=contact.attributes,
    )
    rendered = render(text, values)
    return Sample(contact.phone, contact.full_name, rendered, measure(rendered).parts)
