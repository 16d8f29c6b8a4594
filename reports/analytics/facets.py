"""The breakdowns of reports: what pages and exports call each facet. Adding one here shows it on both."""

from typing import Final, NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from reports.models import Facet


class Breakdown(NamedTuple):
    """How a facet is shown: `export` is its name in addresses, `item` that in the list of exports.

    A page shows it only with `least` lines or more.
    """

    export: str
    title: str | Promise
    item: str | Promise
    no_value: str | Promise
    note: str | Promise = ""
    least: int = 1


BREAKDOWNS: Final = {
    Facet.OPERATOR: Breakdown("operators", _("Operator codes"), _("By operator code"), no_value=_("No operator code")),
    Facet.COUNTRY: Breakdown("countries", _("Countries"), _("By country"), no_value=_("No country"), least=2),
    Facet.TIMEZONE: Breakdown("timezones", _("Time zones"), _("By time zone"), no_value=_("No contact")),
    Facet.TAG: Breakdown(
        "tags",
        _("Tags"),
        _("By tag"),
        no_value=_("No tag"),
        note=_("A contact is counted under each of its tags."),
    ),
    Facet.REASON: Breakdown(
        "reasons",
        _("Failure reasons"),
        _("By reason"),
        no_value=_("No reason given"),
        note=_("Why messages were not accepted or delivered, and why attempts failed."),
    ),
}
