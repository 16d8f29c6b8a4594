"""The report by e-mail: how it looks, one now, and the switch that its links lead to."""

from typing import Any, Final

from csp.constants import NONE, SELF, UNSAFE_INLINE
from csp.decorators import csp
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.cache import cache
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from project.http import Signed
from reports.digest import Digest, digest_of
from reports.letters import context_of, eyes_of, switch_off, switched_by, written
from reports.models import Report, Rhythm
from reports.post import NotTaken, Post, Uncertain
from reports.schedule import latest_due, wants

_PAUSE_SECONDS: Final = 60
# Mail clients know inline styles only, so the mail itself has them; nothing else may happen in its frame.
_MAIL_ONLY: Final = {"default-src": [NONE], "style-src": [UNSAFE_INLINE], "frame-ancestors": [SELF]}


@require_safe
@login_required
def report_email(request: Signed) -> HttpResponse:
    """The report as it came last, or would have come, with what became of the one that was sent."""
    rhythm = _rhythm(request)
    last = Report.objects.filter(user=request.user, rhythm=rhythm).order_by("-day").first()
    context = {
        "rhythm": rhythm,
        "wanted": wants(request.user, rhythm),
        "last": last,
        "digest": _digest(request, rhythm),
    }
    return render(request, "reports/email_page.html", context)


@csp(_MAIL_ONLY)  # type: ignore[arg-type]  # it knows no requests but Django's own
@xframe_options_sameorigin
@require_safe
@login_required
def report_email_body(request: Signed) -> HttpResponse:
    """The mail itself, for the frame of that page."""
    with eyes_of(request.user):
        return render(request, "reports/email.html", context_of(request.user, _digest(request, _rhythm(request))))


@require_POST
@login_required
def report_send_me(request: Signed) -> HttpResponse:
    """Send the signed-in user the report that the page shows, at once; it does not count as that day's."""
    rhythm = _rhythm(request)
    if not cache.add(f"report-now:{request.user.pk}", 1, _PAUSE_SECONDS):
        messages.warning(request, _("You had one a moment ago. Try again in a minute."))
        return redirect("report_email")
    try:
        with eyes_of(request.user), Post() as post:
            post.hand_over(written(request.user, _digest(request, rhythm)))
    except (NotTaken, Uncertain) as error:
        messages.error(request, _("The mail server did not take it: %(error)s") % {"error": error})
    else:
        messages.success(request, _("It is on its way to %(email)s.") % {"email": request.user.email})
    return redirect("report_email")


@never_cache
@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def report_off(request: HttpRequest, token: str) -> HttpResponse:
    """Where a mail's link leads: GET asks, POST switches off, as mail clients do by themselves (RFC 8058).

    The signed token says who it is; a cookie would say nothing more, so there is no need of one.
    """
    known = switched_by(token)
    if known is None:
        raise Http404
    user, rhythm = known
    if request.method == "POST":
        switch_off(user, rhythm)
    context = {"reader": user, "rhythm": rhythm, "done": request.method == "POST"}
    with eyes_of(user):
        return render(request, "reports/email_off.html", context)


def _rhythm(request: HttpRequest) -> Rhythm:
    """Which report the address asks for."""
    asked: Any = request.POST.get("rhythm") or request.GET.get("rhythm")
    return Rhythm.WEEKLY if asked == Rhythm.WEEKLY else Rhythm.DAILY


def _digest(request: Signed, rhythm: Rhythm) -> Digest:
    """The latest report that is due."""
    return digest_of(request.user, rhythm, latest_due(rhythm, request.user.timezone, now()))
