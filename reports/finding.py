"""The command palette: pages, campaigns and contacts by a few letters, for the dialog or as a page of its own."""

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
from campaigns.models import Campaign
from directory import phones
from directory.listing import contacts_page, number_of
from directory.models import Contact
from project.http import Signed
from reports import figures

_SHOWN: Final = 6
_LONGEST: Final = 100


@dataclass(frozen=True)
class Place:
    """A page by its name, and the keys that lead there from anywhere; some are for administrators only."""

    label: str | Promise
    view: str
    icon: str
    keys: str = ""
    staff: bool = False

    def is_called(self, words: list[str]) -> bool:
        """Whether each word is part of its name, in the reader's language or in English."""
        with translation.override("en"):
            english = str(self.label)
        names = f"{self.label} {english}".casefold()
        return all(word in names for word in words)


PLACES: Final = (
    Place(gettext_lazy("New campaign"), "campaigns:campaign_create", "plus"),
    Place(gettext_lazy("Home"), "home", "house", "g h"),
    Place(gettext_lazy("Campaigns"), "campaigns:campaigns", "message-square", "g c"),
    Place(gettext_lazy("Contacts"), "directory:contacts", "contact", "g p"),
    Place(gettext_lazy("Add a contact"), "directory:contact_create", "user-plus"),
    Place(gettext_lazy("Import contacts"), "directory:imports", "file-up"),
    Place(gettext_lazy("Tags"), "directory:tags", "tag"),
    Place(gettext_lazy("Saved audiences"), "directory:audiences", "users"),
    Place(gettext_lazy("Suppression list"), "directory:suppression", "ban"),
    Place(gettext_lazy("Reports"), "reports", "chart-column", "g r"),
    Place(gettext_lazy("Report by e-mail"), "report_email", "mail"),
    Place(gettext_lazy("Users"), "accounts:users", "users", "g u", staff=True),
    Place(gettext_lazy("Gateways"), "gateways:gateways", "radio-tower", staff=True),
    Place(gettext_lazy("Account"), "accounts:profile", "circle-user", "g s"),
    Place(gettext_lazy("Webhooks"), "webhooks:webhooks", "webhook"),
    Place(gettext_lazy("API"), "docs", "braces"),
)


@dataclass(frozen=True)
class Found:
    """One row: what it is called, what tells it from others of that name, and where it leads."""

    label: str | Promise
    address: str
    icon: str
    note: str = ""
    keys: str = ""


@require_safe
@login_required
def find(request: Signed) -> HttpResponse:
    """What is called like `q`; where nothing is asked, the pages."""
    asked = request.GET.get("q", "").replace("\0", "")[:_LONGEST].strip()
    groups = [(_("Pages"), _places(request.user, asked))]
    if asked:
        groups += [(_("Campaigns"), _campaigns(request.user, asked)), (_("Contacts"), _contacts(asked))]
    context = {"asked": asked, "groups": [(heading, rows) for heading, rows in groups if rows]}
    response = render(request, f"reports/find.html{'#found' if request.htmx else ''}", context)
    patch_vary_headers(response, ["HX-Request"])
    return response


def _places(user: User, asked: str) -> list[Found]:
    """The pages that the user may open and that are called so."""
    words = asked.casefold().split()
    return [
        Found(place.label, reverse(place.view), place.icon, keys=place.keys)
        for place in PLACES
        if (user.is_staff or not place.staff) and place.is_called(words)
    ]


def _campaigns(user: User, asked: str) -> list[Found]:
    """The newest of those that the user may open."""
    found = figures.reported(user).visible().search(asked).order_by("-pk")[:_SHOWN]
    return [_found(row, row.name, "message-square", str(row.get_status_display())) for row in found]


def _contacts(asked: str) -> list[Found]:
    """By name or phone, as on the contacts' own list."""
    filters: dict[str, Any] = {"q": asked}
    page = contacts_page(filters, number_of(Contact.objects.narrow(**filters)), limit=_SHOWN)
    return [_found(row, row.full_name or _("No name"), "contact", phones.pretty(row.phone)) for row in page.items]


def _found(row: Campaign | Contact, label: str, icon: str, note: str) -> Found:
    view = "campaigns:campaign" if isinstance(row, Campaign) else "directory:contact"
    return Found(label, reverse(view, args=[row.pk]), icon, note)
