"""The command palette: finds pages, campaigns, contacts, and messages by id, in a dialog or on a page."""

from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from accounts.models import User
from campaigns.messages.provider_ids import messages_with
from campaigns.models import Campaign, Message
from directory import phones
from directory.contacts.listing import contacts_page, count_or_estimate
from directory.models import Contact
from project.http.client import UserRequest
from reports.dashboard import figures

_MAX_RESULTS: Final = 6
_MAX_LENGTH: Final = 100


@dataclass(frozen=True)
class PageEntry:
    """A page with its name and keyboard shortcut; some are for administrators only."""

    label: str | Promise
    view: str
    icon: str
    keys: str = ""
    staff: bool = False

    def matches(self, words: list[str]) -> bool:
        """Whether the name contains each word, in the user's language or in English."""
        with translation.override("en"):
            english = str(self.label)
        names = f"{self.label} {english}".casefold()
        return all(word in names for word in words)


PAGES: Final = (
    PageEntry(gettext_lazy("New campaign"), "campaigns:campaign_create", "plus"),
    PageEntry(gettext_lazy("Home"), "home", "house", "g h"),
    PageEntry(gettext_lazy("Campaigns"), "campaigns:campaigns", "message-square", "g c"),
    PageEntry(gettext_lazy("Contacts"), "directory:contacts", "contact", "g p"),
    PageEntry(gettext_lazy("Add contact"), "directory:contact_create", "user-plus"),
    PageEntry(gettext_lazy("Import contacts"), "directory:imports", "file-up"),
    PageEntry(gettext_lazy("Tags"), "directory:tags", "tag"),
    PageEntry(gettext_lazy("Saved audiences"), "directory:audiences", "users"),
    PageEntry(gettext_lazy("Opt-out list"), "directory:suppression", "ban"),
    PageEntry(gettext_lazy("Reports"), "reports", "chart-column", "g r"),
    PageEntry(gettext_lazy("Report by e-mail"), "report_email", "mail"),
    PageEntry(gettext_lazy("Users"), "accounts:users", "users", "g u", staff=True),
    PageEntry(gettext_lazy("Gateways"), "gateways:gateways", "radio-tower", staff=True),
    PageEntry(gettext_lazy("Account"), "accounts:profile", "circle-user", "g s"),
    PageEntry(gettext_lazy("Webhooks"), "webhooks:webhooks", "webhook"),
    PageEntry(gettext_lazy("API"), "docs", "braces"),
)


@dataclass(frozen=True)
class Result:
    """A result: its label, a note that distinguishes it, and its address."""

    label: str | Promise
    address: str
    icon: str
    note: str = ""
    keys: str = ""


@require_safe
@login_required
def find(request: UserRequest) -> HttpResponse:
    """Results for `q`; without a query, all pages."""
    query = request.GET.get("q", "").replace("\0", "")[:_MAX_LENGTH].strip()
    groups = [(_("Pages"), _pages(request.user, query))]
    if query:
        groups += [
            (_("Campaigns"), _campaigns(request.user, query)),
            (_("Contacts"), _contacts(query)),
            (_("Messages"), _messages(request.user, query)),
        ]
    context = {"asked": query, "groups": [(heading, rows) for heading, rows in groups if rows]}
    response = render(request, f"reports/find.html{'#found' if request.htmx else ''}", context)
    patch_vary_headers(response, ["HX-Request"])
    return response


def _pages(user: User, query: str) -> list[Result]:
    """Matching pages that the user may open."""
    words = query.casefold().split()
    return [
        Result(entry.label, reverse(entry.view), entry.icon, keys=entry.keys)
        for entry in PAGES
        if (user.is_staff or not entry.staff) and entry.matches(words)
    ]


def _campaigns(user: User, query: str) -> list[Result]:
    """The newest matching campaigns that the user may open."""
    found = figures.reported(user).visible().search(query).order_by("-pk")[:_MAX_RESULTS]
    return [_result(row, row.name, "message-square", str(row.get_status_display())) for row in found]


def _contacts(query: str) -> list[Result]:
    """Contacts by name or phone, as in the list of contacts."""
    filters: dict[str, Any] = {"q": query}
    page = contacts_page(filters, count_or_estimate(Contact.objects.narrow(**filters)), limit=_MAX_RESULTS)
    return [_result(row, row.full_name or _("No name"), "contact", phones.pretty(row.phone)) for row in page.items]


def _messages(user: User, query: str) -> list[Result]:
    """Messages with this id, ours or a provider's, of campaigns that the user may open."""
    ids = messages_with(query)
    if query.isascii() and query.isdecimal() and int(query) < 2**63:
        ids.append(int(query))
    campaigns = figures.reported(user).visible()
    found = Message.objects.filter(pk__in=ids, run__campaign__in=campaigns).select_related("run__campaign", "contact")
    return [
        Result(
            phones.pretty(message.recipient),
            reverse("campaigns:message", args=[message.run.campaign_id, message.pk]),
            "message-square",
            message.run.campaign.name,
        )
        for message in found.order_by("-pk")[:_MAX_RESULTS]
    ]


def _result(row: Campaign | Contact, label: str, icon: str, note: str) -> Result:
    view = "campaigns:campaign" if isinstance(row, Campaign) else "directory:contact"
    return Result(label, reverse(view, args=[row.pk]), icon, note)
