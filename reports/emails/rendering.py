"""The report e-mail: HTML and plain text, in the user's language and time zone, with an unsubscribe link."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any, Final
from urllib.parse import urljoin, urlsplit
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core import signing
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.models import User
from project.core.numbers import number
from reports.emails.digest import Digest, digest_of
from reports.emails.schedule import CHOICES, wants
from reports.models import Report, ReportFrequency

_BLANK_LINES: Final = re.compile(r"\n{3,}")
_SALT: Final = "reports.switch-off"


@contextmanager
def user_locale(user: User) -> Iterator[None]:
    """Activate the user's language and time zone."""
    with timezone.override(ZoneInfo(user.timezone)), translation.override(user.language):
        yield


def email_of(report: Report) -> EmailMultiAlternatives | None:
    """The e-mail of a report; None if the user does not want it, or it is empty and the user wants no empty ones."""
    user, frequency = report.user, ReportFrequency(report.frequency)
    if not wants(user, frequency):
        return None
    with user_locale(user):
        digest = digest_of(user, frequency, report.day)
        if digest.empty and not user.empty_reports:
            return None
        email = render_email(user, digest)
    # The same for each attempt, so that mail servers can drop duplicates.
    email.extra_headers["Message-ID"] = f"<report-{report.pk}@{urlsplit(settings.PUBLIC_URL).hostname}>"
    return email


def render_email(user: User, digest: Digest) -> EmailMultiAlternatives:
    """Render the digest as an e-mail, in the active language and zone."""
    context = context_of(user, digest)
    email = EmailMultiAlternatives(
        subject=context["subject"],
        body=_BLANK_LINES.sub("\n\n", render_to_string("reports/email.txt", context)),
        to=[user.email],
        headers={
            "List-Unsubscribe": f"<{context['off_url']}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            "Auto-Submitted": "auto-generated",
        },
    )
    email.attach_alternative(render_to_string("reports/email.html", context), "text/html")
    return email


def context_of(user: User, digest: Digest) -> dict[str, Any]:
    """The context of both e-mail templates."""
    return {
        "user": user,
        "digest": digest,
        "section": digest.main_section,
        "subject": subject_of(digest),
        "title": title_of(digest),
        "weekly": digest.frequency == ReportFrequency.WEEKLY,
        "at": f"{settings.DAILY_REPORT_AT:%H:%M}",
        "public_url": settings.PUBLIC_URL.rstrip("/"),
        "off_url": urljoin(
            settings.PUBLIC_URL, reverse("report_off", args=[unsubscribe_token(user, digest.frequency)])
        ),
    }


def title_of(digest: Digest) -> str:
    """`Monday, 23 November`, or `16 November – 22 November`."""
    if digest.first == digest.last:
        return date_format(digest.last, _("l, j F"))
    return f"{date_format(digest.first, _('j F'))} – {date_format(digest.last, _('j F'))}"


def subject_of(digest: Digest) -> str:
    """The subject: the day and its figures."""
    section = digest.main_section
    if not section.lines:
        figures = _("nothing was sent")
    else:
        figures = ngettext("%(number)s sent", "%(number)s sent", section.sent) % {"number": number(section.sent)}
    if section.failed:
        failed = ngettext("%(number)s failed", "%(number)s failed", section.failed) % {"number": number(section.failed)}
        figures = f"{figures}, {failed}"
    return f"Vestnik, {_short(digest.first, digest.last)}: {figures}"


def _short(first: date, last: date) -> str:
    if first == last:
        return date_format(last, _("D j M"))
    return f"{date_format(first, _('j M'))} – {date_format(last, _('j M'))}"


def unsubscribe_token(user: User, frequency: ReportFrequency) -> str:
    """A signed token that unsubscribes a user from reports of one frequency, without expiry or sign-in."""
    return signing.dumps([user.pk, frequency.value], salt=_SALT)


def read_unsubscribe_token(token: str) -> tuple[User, ReportFrequency] | None:
    """The user and frequency of a token; None if the signature is invalid or the user does not exist."""
    try:
        pk, frequency = signing.loads(token, salt=_SALT)
    except signing.BadSignature:
        return None
    user = User.objects.filter(pk=pk).first()
    return (user, ReportFrequency(frequency)) if user else None


def unsubscribe(user: User, frequency: ReportFrequency) -> None:
    """Unsubscribe the user from reports of that frequency."""
    User.objects.filter(pk=user.pk).update(**{CHOICES[frequency]: False})
