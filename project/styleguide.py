"""`/styleguide/`, in debug mode only: all tokens and components of the pages, made with the pages' own includes.

The tokens are read from the stylesheet, so that none is missing. The page is in English, because it is for developers.
"""

import re
from itertools import groupby
from pathlib import Path
from typing import Final

from django import forms
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from campaigns.pages.charts import Chart, Point, chart_of
from campaigns.pages.progress import tally
from campaigns.states import CampaignStatus, MessageStatus
from project.core.clock import now
from project.http.client import UserRequest

STYLESHEET: Final = Path("static/css/vestnik.css")
# Kinds of tokens by prefix; all others are colours.
_KINDS: Final = (("text", "Type"), ("s[0-9]", "Spacing"), ("radius", "Corners"))
_HIDDEN: Final = ("font", "mono", "ease", "shadow", "shadow-l")


class SampleForm(forms.Form):
    """A field of each kind, some with invalid values."""

    name = forms.CharField(help_text="Help stands below the field, in a sentence.", max_length=20)
    phone = forms.CharField(required=False)
    text = forms.CharField(widget=forms.Textarea({"rows": 3}), required=False)
    zone = forms.ChoiceField(choices=[("msk", "Europe/Moscow"), ("vvo", "Asia/Vladivostok")])
    moment = forms.DateTimeField(required=False, widget=forms.DateTimeInput({"type": "datetime-local"}))
    file = forms.FileField(required=False)
    kind = forms.ChoiceField(choices=[("once", "Once"), ("daily", "Daily")], widget=forms.RadioSelect, initial="once")
    agreed = forms.BooleanField(help_text="A box has its label beside it.")

    def clean(self) -> None:
        """Add an error of the whole form."""
        self.add_error(None, "What is wrong with the form as a whole stands above its fields.")


@require_safe
@login_required
def styleguide(request: UserRequest) -> HttpResponse:
    """The page; 404 outside of development."""
    if not settings.DEBUG:
        raise Http404
    numbers = dict.fromkeys(MessageStatus.values, 0) | {"delivered": 40, "sent": 30, "failed": 8, "pending": 22}
    context = {
        "tokens": tokens(),
        "campaign_states": CampaignStatus.values,
        "message_states": [*MessageStatus.values, "retrying"],
        "tones": ["wait", "sent", "good", "warn", "bad"],
        "levels": ["success", "info", "warning", "error"],
        "form": SampleForm({"name": "A name that is far too long", "kind": "once", "zone": "msk"}),
        "progress": tally(numbers, retrying=5),
        "chart": _chart(),
        "moment": now(),
    }
    return render(request, "styleguide.html", context)


def tokens() -> list[tuple[str, list[str]]]:
    """Return the names of the stylesheet's tokens by kind: type, spacing, corners, and colours."""
    layer = (settings.BASE_DIR / STYLESHEET).read_text().split("@layer tokens {")[1].split("\n}")[0]
    root = layer.split(":root {")[1].split("\n  }")[0]
    names = [name for name in re.findall(r"--([\w-]+):", root) if name not in _HIDDEN]
    return [(kind, list(found)) for kind, found in groupby(names, _kind)]


def _kind(name: str) -> str:
    return next((kind for start, kind in _KINDS if re.match(start, name)), "Colours")


def _chart() -> Chart | None:
    points = [Point(f"{day} Nov", f"{day} Nov: {day * 7 % 40} sent", day * 7 % 40, day % 5) for day in range(1, 31)]
    return chart_of(points, 960)
