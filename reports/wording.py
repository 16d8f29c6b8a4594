"""Figures in words: the few that a report begins with, and what the lines of its tables are called."""

from dataclasses import dataclass

from django.utils.formats import number_format
from django.utils.translation import gettext as _

from accounts.zones import place
from campaigns.wording import reason_words
from project.numbers import number
from project.templatetags import percent
from reports.breakdown import Figures
from reports.models import Facet


@dataclass(frozen=True)
class Headline:
    """One figure, what there is to say of it, and the figure of the period before."""

    label: str
    value: str
    note: str
    before: str
    tone: str = ""


def headline(now: Figures, before: Figures | None) -> list[Headline]:
    """The figures that a report begins with; without any before, where there is no period to compare with."""
    then = before or Figures()

    def told(label: str, pair: tuple[str, str], note: str = "", tone: str = "") -> Headline:
        return Headline(label, pair[0], note, pair[1] if before else "", tone)

    failed = now.failed + now.undelivered
    return [
        told(_("Messages"), (number(now.total), number(then.total)), (before and _change(now.total, then.total)) or ""),
        told(
            _("Accepted"),
            (percent(now.accepted, now.total), percent(then.accepted, then.total)),
            number(now.accepted),
            "sent",
        ),
        told(
            _("Delivered"),
            (percent(now.delivered, now.receipts), percent(then.delivered, then.receipts)),
            _("%(number)s, of those with a receipt") % {"number": number(now.delivered)}
            if now.receipts
            else _("no receipts"),
            "good",
        ),
        told(
            _("Failed or undelivered"),
            (number(failed), number(then.failed + then.undelivered)),
            percent(failed, now.total),
            "bad",
        ),
        told(_("Parts"), (number(now.parts), number(then.parts)), _each(now.parts, now.accepted)),
        told(_("Attempts"), (number(now.attempts), number(then.attempts)), _each(now.attempts, now.accepted)),
    ]


def line_words(facet: Facet, value: str) -> str:
    """What a line of a table is called."""
    if facet == Facet.REASON:
        return reason_words(value) or _("No reason was given")
    if not value:
        return _("Without a tag") if facet == Facet.TAG else _("Without a contact")
    return place(value) if facet == Facet.TIMEZONE else value


def _change(now: int, then: int) -> str:
    """`+12.4 %`, `−3 %`; nothing where there is nothing to compare with."""
    if not then:
        return ""
    share = (now - then) * 100 / then
    sign = "+" if share >= 0 else "−"
    return f"{sign}{number_format(abs(share), 1 if abs(share) < 100 else 0)}\N{NARROW NO-BREAK SPACE}%"


def _each(part: int, whole: int) -> str:
    """`1.05 a message`."""
    return _("%(number)s an accepted message") % {"number": number_format(part / whole, 2)} if whole else ""
