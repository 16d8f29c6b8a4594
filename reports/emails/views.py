"""The report e-mail's pages: preview, send now, and unsubscribe."""

from typing import Any, Final

from csp.constants import NONE, SELF, UNSAFE_INLINE
from csp.decorators import csp
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.cache import cache
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from project.core.clock import now
from project.http.client import UserRequest
from reports.emails.digest import Digest, digest_of
from reports.emails.rendering import context_of, read_unsubscribe_token, render_email, unsubscribe, user_locale
from reports.emails.schedule import latest_due, wants
from reports.emails.smtp import NotAccepted, SmtpSession, Uncertain
from reports.models import Report, ReportFrequency

_PAUSE_SECONDS: Final = 60
# E-mails need inline styles, because mail clients support no others; the frame allows nothing else.
_MAIL_ONLY: Final = {"default-src": [NONE], "style-src": [UNSAFE_INLINE], "frame-ancestors": [SELF]}


@require_safe
@login_required
def report_email(request: UserRequest) -> HttpResponse:
    """A preview of the latest due report, with the status of the last e-mail."""
    frequency = _frequency(request)
    last = Report.objects.filter(user=request.user, frequency=frequency).order_by("-day").first()
    context = {
        "frequency": frequency,
        "wanted": wants(request.user, frequency),
        "last": last,
        "digest": _digest(request, frequency),
    }
    return render(request, "reports/email_page.html", context)


@csp(_MAIL_ONLY)  # type: ignore[arg-type]  # it knows no requests but Django's own
@xframe_options_sameorigin
@require_safe
@login_required
def report_email_body(request: UserRequest) -> HttpResponse:
    """The e-mail itself, for the frame of that page."""
    with user_locale(request.user):
        return render(request, "reports/email.html", context_of(request.user, _digest(request, _frequency(request))))


@require_POST
@login_required
def report_send_me(request: UserRequest) -> HttpResponse:
    """Send the signed-in user the shown report now, in addition to the scheduled one."""
    frequency = _frequency(request)
    if not cache.add(f"report-now:{request.user.pk}", 1, _PAUSE_SECONDS):
        messages.warning(request, _("A report was sent to you less than a minute ago. Try again in a minute."))
        return redirect("report_email")
    try:
        with user_locale(request.user), SmtpSession() as session:
            session.send(render_email(request.user, _digest(request, frequency)))
    except (NotAccepted, Uncertain) as error:
        messages.error(request, _("The mail server rejected the e-mail: %(error)s") % {"error": error})
    else:
        messages.success(request, _("The report has been sent to %(email)s.") % {"email": request.user.email})
    return redirect("report_email")


@never_cache
@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def report_off(request: HttpRequest, token: str) -> HttpResponse:
    """The unsubscribe link: GET asks for confirmation, POST unsubscribes, as mail clients do (RFC 8058).

    The signed token identifies the user, so no cookie is needed.
    """
    found = read_unsubscribe_token(token)
    if found is None:
        raise Http404
    user, frequency = found
    if request.method == "POST":
        unsubscribe(user, frequency)
    context = {"reader": user, "frequency": frequency, "done": request.method == "POST"}
    with user_locale(user):
        return render(request, "reports/email_off.html", context)


def _frequency(request: HttpRequest) -> ReportFrequency:
    """The report frequency in the request."""
    value: Any = request.POST.get("rhythm") or request.GET.get("rhythm")
    return ReportFrequency.WEEKLY if value == ReportFrequency.WEEKLY else ReportFrequency.DAILY


def _digest(request: UserRequest, frequency: ReportFrequency) -> Digest:
    """The latest report that is due."""
    return digest_of(request.user, frequency, latest_due(frequency, request.user.timezone, now()))
