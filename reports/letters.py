"""The report as an e-mail: HTML and plain text, in the user's language and time zone, with a way to switch it off."""

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
from project.numbers import number
from reports.digest import Digest, digest_of
from reports.models import Report, Rhythm
from reports.schedule import CHOICES, wants

_BLANK_LINES: Final = re.compile(r"\n{3,}")
_SALT: Final = "reports.switch-off"


@contextmanager
def eyes_of(user: User) -> Iterator[None]:
    """Words and times as the user reads them."""
    with timezone.override(ZoneInfo(user.timezone)), translation.override(user.language):
        yield


def letter_of(report: Report) -> EmailMultiAlternatives | None:
    """The mail of a report; None if it is not wanted any more, or has nothing to tell to somebody who reads no such."""
    user, rhythm = report.user, Rhythm(report.rhythm)
    if not wants(user, rhythm):
        return None
    with eyes_of(user):
        digest = digest_of(user, rhythm, report.day)
        if digest.empty and not user.empty_reports:
            return None
        letter = written(user, digest)
    # Always the same, so that a server which drops repeats has something to know them by.
    letter.extra_headers["Message-ID"] = f"<report-{report.pk}@{urlsplit(settings.PUBLIC_URL).hostname}>"
    return letter


def written(user: User, digest: Digest) -> EmailMultiAlternatives:
    """The digest as a mail, in the language and zone that are active."""
    context = context_of(user, digest)
    letter = EmailMultiAlternatives(
        subject=context["subject"],
        body=_BLANK_LINES.sub("\n\n", render_to_string("reports/email.txt", context)),
        to=[user.email],
        headers={
            "List-Unsubscribe": f"<{context['off_url']}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            "Auto-Submitted": "auto-generated",
        },
    )
    letter.attach_alternative(render_to_string("reports/email.html", context), "text/html")
    return letter


def context_of(user: User, digest: Digest) -> dict[str, Any]:
    """What both templates of the mail need."""
    return {
        "user": user,
        "digest": digest,
        "section": digest.chief,
        "subject": subject_of(digest),
        "title": title_of(digest),
        "weekly": digest.rhythm == Rhythm.WEEKLY,
        "at": f"{settings.DAILY_REPORT_AT:%H:%M}",
        "public_url": settings.PUBLIC_URL.rstrip("/"),
        "off_url": urljoin(settings.PUBLIC_URL, reverse("report_off", args=[switch_of(user, digest.rhythm)])),
    }


def title_of(digest: Digest) -> str:
    """`Monday, 23 November`, or `16 – 22 November` with both months where they differ."""
    if digest.first == digest.last:
        return date_format(digest.last, _("l, j F"))
    return f"{date_format(digest.first, _('j F'))} – {date_format(digest.last, _('j F'))}"


def subject_of(digest: Digest) -> str:
    """The day and its figures, or that nothing was sent."""
    section = digest.chief
    if not section.number:
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


def switch_of(user: User, rhythm: Rhythm) -> str:
    """The signed end of a link that switches one user's reports of one rhythm off, for ever and without signing in."""
    return signing.dumps([user.pk, rhythm.value], salt=_SALT)


def switched_by(token: str) -> tuple[User, Rhythm] | None:
    """Whose reports a link is about; None if it was not made by us, or the user is gone."""
    try:
        pk, rhythm = signing.loads(token, salt=_SALT)
    except signing.BadSignature:
        return None
    user = User.objects.filter(pk=pk).first()
    return (user, Rhythm(rhythm)) if user else None


def switch_off(user: User, rhythm: Rhythm) -> None:
    """Send the user no more reports of that rhythm."""
    User.objects.filter(pk=user.pk).update(**{CHOICES[rhythm]: False})
