"""The rules for placeholders: each is valid, and some contact in the audience has a value for it."""

from difflib import get_close_matches
from hashlib import sha256
from typing import Final

from django.core.cache import caches
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from campaigns.text import CONTACT_FIELDS, PLACEHOLDER, Problem, malformed
from directory.audiences.audience import Audience
from directory.contacts.listing import known_attributes
from directory.models import Contact

_MAX_SHOWN: Final = 30
_CACHE_SECONDS: Final = 60  # seconds


def check_braces(text: str) -> None:
    """ValidationError if a brace does not belong to a valid placeholder: it would be sent as it is."""
    problem = malformed(text)
    if problem:
        raise ValidationError({"text": _problem_words(problem)})


def check_placeholders(text: str, audience: Audience) -> None:
    """Also ValidationError for a placeholder without fallback for which no contact of the audience has a value.

    If the audience has no contacts yet, any name is accepted.
    """
    check_braces(text)
    for match in PLACEHOLDER.finditer(text):
        name, fallback = match[1], match[2]
        if fallback is None and name.lower() not in CONTACT_FIELDS and not _is_known(name, audience):
            raise ValidationError({"text": _unknown_words(name, match.start() + 1)})


def _is_known(name: str, audience: Audience) -> bool:
    """Whether some contact of the audience has that attribute in any case, or the audience is empty.

    Cached for a short time, because the composer asks at each change of a text.
    """
    key = f"placeholder-{sha256(repr((name, audience)).encode()).hexdigest()}"
    known: bool | None = caches["process"].get(key)
    if known is None:
        contacts = Contact.objects.contactable().matching(audience).order_by()
        variants = {name, *(known for known in known_attributes() if known.casefold() == name.casefold())}
        known = any(contacts.filter(attributes__has_key=known).exists() for known in variants) or not contacts.exists()
        caches["process"].set(key, known, _CACHE_SECONDS)
    return known


def _problem_words(problem: Problem) -> str:
    values = {"written": _shortened(problem.written), "position": problem.position}
    if problem.kind == "unopened":
        return _("Character %(position)d: this “}” does not close a placeholder.") % values
    if problem.kind == "unreadable":
        message = _(
            "Character %(position)d: “%(written)s” is not a valid placeholder. Use a name without spaces, for "
            "example {first_name}."
        )
        return message % values + _suggestion("_".join(problem.written[1:-1].partition("|")[0].split()))
    return _("Character %(position)d: the placeholder “%(written)s” is missing a closing “}”.") % values


def _unknown_words(name: str, position: int) -> str:
    values = {"name": f"{{{name}}}", "position": position, "example": f"{{{name}|…}}"}
    message = _(
        "Character %(position)d: no contact in this audience has %(name)s. Correct the name or set a default: "
        "%(example)s."
    )
    return message % values + _suggestion(name)


def _suggestion(name: str) -> str:
    """` Did you mean {Bonus}?`, if there is a similar name."""
    names = {known.casefold(): known for known in (*known_attributes(), *sorted(CONTACT_FIELDS))}
    close = get_close_matches(name.casefold(), names, n=1)
    return " " + _("Did you mean %(name)s?") % {"name": f"{{{names[close[0]]}}}"} if close else ""


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
