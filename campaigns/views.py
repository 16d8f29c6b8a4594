"""The pages of campaigns."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models.functions import Lower
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import reselect, reswap, retarget

from accounts.history import history_of
from campaigns import connections, direct, services
from campaigns.forms import CampaignForm, FilterForm, MessageFilterForm, SendTestForm
from campaigns.live import MOVING, PARTS, parts_of
from campaigns.models import Campaign, Message
from campaigns.outlook import outlook_of
from campaigns.progress import progress_of_runs
from campaigns.selection import ALL, LATEST
from campaigns.states import OPEN, CampaignStatus, Remedy
from campaigns.wording import plan_words
from directory.audience import Audience
from directory.models import Contact, SavedAudience
from project.http import Conflict, Signed, refusal_shown
from project.lists import NEWEST, list_shown, page_after, tidied

_PAGE: Final = 30
_LATEST: Final = 10
_ATTRIBUTES_OFFERED: Final = 12
_LAUNCH: Final = "launch"
_LAST_PHONE: Final = "test_phone"
# What a button of the page does, and what is said afterwards.
_ACTIONS: Final[dict[str, tuple[Callable[..., Any], Any]]] = {
    _LAUNCH: (services.campaign_launch, gettext_lazy("“%(name)s” is launched.")),
    "withdraw": (services.campaign_withdraw, gettext_lazy("“%(name)s” is a draft again.")),
    "pause": (services.campaign_pause, gettext_lazy("“%(name)s” is paused: nothing more leaves.")),
    "resume": (services.campaign_resume, gettext_lazy("“%(name)s” goes on.")),
    "retry-failed": (services.campaign_retry_failed, gettext_lazy("What failed in “%(name)s” is tried again.")),
    "unknown-retry": (
        partial(services.campaign_remedy, remedy=Remedy.RETRY),
        gettext_lazy("What was stopped in “%(name)s” is tried again."),
    ),
    "unknown-resend": (
        partial(services.campaign_remedy, remedy=Remedy.RESEND),
        gettext_lazy("What is unknown in “%(name)s” is sent again."),
    ),
    "unknown-sent": (
        partial(services.campaign_remedy, remedy=Remedy.SENT),
        gettext_lazy("What is unknown in “%(name)s” is marked as sent."),
    ),
    "unknown-failed": (
        partial(services.campaign_remedy, remedy=Remedy.FAILED),
        gettext_lazy("What is unknown in “%(name)s” is marked as failed."),
    ),
    "cancel": (services.campaign_cancel, gettext_lazy("“%(name)s” is cancelled.")),
    "delete": (services.campaign_delete, gettext_lazy("“%(name)s” is deleted. Its figures stay in the reports.")),
}


_REMEDIED: Final[dict[str, Any]] = {
    Remedy.RETRY: gettext_lazy("The message is tried again."),
    Remedy.RESEND: gettext_lazy("The message is sent again as this new one."),
    Remedy.SENT: gettext_lazy("The message is marked as sent."),
    Remedy.FAILED: gettext_lazy("The message is marked as failed."),
}


@require_safe
@login_required
def campaigns(request: Signed) -> HttpResponse:
    """Everyone's campaigns; figures of one's own only. A live search asks for the list alone, by the same address."""
    form = FilterForm(tidied(request))
    page = form.page(_found(request, form.read()), _PAGE)
    shown = [(row, request.user.may_change(row)) for row in page.items]
    context = {
        "form": form,
        "page": page,
        "rows": [(row, mine, progress_of_runs(row.runs.all()) if mine else None) for row, mine in shown],
        "live": any(row.status == CampaignStatus.RUNNING for row in page.items),
    }
    return list_shown(request, "campaigns/campaigns.html", context)


def _found(request: Signed, wanted: dict[str, Any]) -> Any:
    """The campaigns that the list is narrowed to, with their runs at hand for the figures."""
    found = Campaign.objects.visible().select_related("owner").prefetch_related("runs")
    found = found.annotate(lower_name=Lower("name"))
    if wanted["q"]:
        found = found.search(wanted["q"])
    if wanted["status"]:
        found = found.filter(status=wanted["status"])
    return found.filter(owner=request.user) if wanted["mine"] else found


@login_required
def campaign_create(request: Signed) -> HttpResponse:
    """Compose a campaign: save it as a draft, or launch it."""
    form = CampaignForm(request.POST or None, picks=_saved_picks(request))
    draft = request.POST.get("action") != _LAUNCH

    def save() -> Campaign:
        return services.campaign_create(owner=request.user, draft=draft, **form.values())

    row = _saved(form, save)
    if row is None:
        return _composer(request, form)
    messages.success(request, (_("“%(name)s” is saved.") if draft else _("“%(name)s” is launched.")) % {"name": row})
    return redirect("campaigns:campaign", row.pk)


def _saved_picks(request: Signed) -> Audience | None:
    """The saved audience that the address names, if it names one."""
    asked = request.GET.get("audience", "")
    found = (
        SavedAudience.objects.filter(pk=asked).first()
        if asked.isascii() and asked.isdigit() and len(asked) < 19
        else None
    )
    return found.picks if found else None


@login_required
def campaign_edit(request: Signed, pk: int) -> HttpResponse:
    """Change what the campaign's state allows; a draft may be launched at once."""
    row = _own(request, pk)
    form = CampaignForm(request.POST or None, campaign=row)
    launch = row.status == CampaignStatus.DRAFT and request.POST.get("action") == _LAUNCH

    @transaction.atomic
    def save() -> Campaign:
        changed = services.campaign_update(campaign=row, by=request.user, **form.changes())
        return services.campaign_launch(campaign=changed, by=request.user) if launch else changed

    changed = _saved(form, save)
    if changed is None:
        return _composer(request, form, row)
    said = _("“%(name)s” is launched.") if launch else _("“%(name)s” is saved.")
    messages.success(request, said % {"name": changed})
    return redirect("campaigns:campaign", pk)


@require_POST
@login_required
def preview(request: Signed, pk: int | None = None) -> HttpResponse:
    """What the composer shows beside what is being written, or before it is launched. Nothing is stored."""
    row = _own(request, pk) if pk is not None else None
    form = CampaignForm(request.POST, campaign=row)
    form.is_valid()
    plan = form.plan(request.user, row)
    part = "review" if request.htmx.target == "review-body" else "preview"
    context = {"form": form, "campaign": row, "plan": plan, "outlook": outlook_of(plan)}
    return render(request, f"campaigns/composer.html#{part}", context)


@require_safe
@login_required
def campaign(request: Signed, pk: int) -> HttpResponse:
    """How far, how fast, how long; then who; then why.

    While it runs each part of the page asks for itself again; where the campaign has come to another state, it gets the
    whole page in its place.
    """
    row = _own(request, pk)
    target = request.htmx.target if request.htmx else None
    wanted = MessageFilterForm(request.GET).read()
    wanted["status"] = wanted["status"] or (LATEST if row.status in MOVING else ALL)
    context: dict[str, Any] = {"campaign": row, "wanted": wanted, "moving": row.status in MOVING}
    if target in PARTS and request.GET.get("seen", row.status) == row.status:
        context |= parts_of(row, wanted, target)
        if target == "progress" and not context["runs"]:
            return HttpResponse(status=204)
        return _varied(render(request, f"campaigns/campaign.html#{target}", context))
    context |= parts_of(row, wanted, *PARTS)
    context |= {"plan_words": plan_words(row), "test_form": _test_form(request), "history": history_of(row)}
    if not context["runs"]:
        context["outlook"] = outlook_of(row)
    if target in PARTS:  # the reader may be looking, or listening, elsewhere
        said = {"name": row, "state": row.get_status_display().lower()}
        messages.info(request, _("“%(name)s” is %(state)s now.") % said)
    response = _varied(render(request, "campaigns/campaign.html", context))
    return retarget(reselect(reswap(response, "outerHTML"), "#main"), "#main") if target in PARTS else response


def _varied(response: HttpResponse) -> HttpResponse:
    """The same address answers htmx with a part: caches must not mix them up."""
    patch_vary_headers(response, ["HX-Request", "HX-Target"])
    return response


@require_safe
@login_required
def message(request: Signed, pk: int, message_pk: int) -> HttpResponse:
    """What happened to one message, step by step; beside the table, or a page of its own."""
    row = _own(request, pk)
    shown = _message_of(row, message_pk)
    seen = f"{shown.status}-{shown.attempts}-{shown.due_at.timestamp():.0f}"
    if request.htmx and request.GET.get("seen") == seen:
        return _varied(HttpResponse(status=204))
    context = {
        "seen": seen,
        "campaign": row,
        "message": shown,
        "failures": shown.failures.order_by("at", "pk"),
        "live": shown.status in OPEN,
        "sent_again_as": Message.objects.filter(run=shown.run, contact=shown.contact, resend_of=shown).first(),
        "idempotent": shown.quarantined and connections.campaign_takes_repeats(row),
    }
    return _varied(render(request, f"campaigns/message.html{'#beside' if request.htmx else ''}", context))


@require_safe
@login_required
def contact_messages(request: Signed, contact_pk: int) -> HttpResponse:
    """What was sent to a contact by campaigns that the user may open: a part of the contact's page, or a page."""
    contact = get_object_or_404(Contact, pk=contact_pk)
    found = Message.objects.to(contact).select_related("run__campaign", "contact")
    if not request.user.is_staff:
        found = found.filter(run__campaign__owner=request.user)
    limit = _LATEST if request.htmx else _PAGE
    context = {"contact": contact, "page": page_after(found, NEWEST, request.GET.get("cursor"), limit)}
    return _varied(render(request, f"campaigns/contact_messages.html{'#rows' if request.htmx else ''}", context))


def _message_of(row: Campaign, message_pk: int) -> Message:
    """One of the campaign's messages."""
    found = Message.objects.filter(run__campaign=row).select_related("contact", "run__campaign")
    return get_object_or_404(found, pk=message_pk)


@require_POST
@login_required
def message_act(request: Signed, pk: int, message_pk: int, action: str) -> HttpResponse:
    """Make something of a message that is unknown, and show the one that tells of it then."""
    shown = _message_of(_own(request, pk), message_pk)
    if action not in _REMEDIED:
        raise Http404
    with refusal_shown(request):
        shown = services.message_remedy(message=shown, by=request.user, remedy=Remedy(action))
        messages.success(request, _REMEDIED[action])
    return redirect("campaigns:message", pk, shown.pk)


@require_POST
@login_required
def send_test(request: Signed, pk: int | None = None) -> HttpResponse:
    """Send one message now: the campaign's text, or, from the composer, what is written there at that moment."""
    row = _own(request, pk) if pk is not None else None
    form, sent = SendTestForm(request.POST, composing=row is None), None
    if form.is_valid():
        request.session[_LAST_PHONE] = form.cleaned_data["phone"]
        try:
            if row is None:
                sent = direct.message_send(owner=request.user, **form.cleaned_data)
            else:
                sent = services.campaign_test(campaign=row, by=request.user, **form.cleaned_data)
        except ValidationError as error:
            form.add_error(None, error)
    context = {"test_form": form, "test_url": request.path, "sent": sent}
    return render(request, "campaigns/test_form.html", context, status=200 if sent else 422)


@require_safe
@login_required
def test_sent(request: Signed, message_pk: int) -> HttpResponse:
    """What has become of a test so far."""
    mine = Message.objects.filter(run__campaign__owner=request.user, run__campaign__direct=True)
    sent = get_object_or_404(mine.select_related("run__campaign"), pk=message_pk)
    return render(request, "campaigns/test_sent.html", {"sent": sent})


def _test_form(request: Signed, *, composing: bool = False) -> SendTestForm:
    """With the phone that this session has last used."""
    return SendTestForm(initial={"phone": request.session.get(_LAST_PHONE, "")}, composing=composing)


@require_POST
@login_required
def campaign_act(request: Signed, pk: int, action: str) -> HttpResponse:
    """One of `_ACTIONS`."""
    row = _own(request, pk)
    if action not in _ACTIONS:
        raise Http404
    act, said = _ACTIONS[action]
    with refusal_shown(request):
        act(campaign=row, by=request.user)
        messages.success(request, said % {"name": row})
        if action == "delete":
            return redirect("campaigns:campaigns")
    return redirect("campaigns:campaign", pk)


@require_POST
@login_required
def campaign_duplicate(request: Signed, pk: int) -> HttpResponse:
    """A draft like this one, opened at once to be changed."""
    copy = services.campaign_duplicate(campaign=_own(request, pk), by=request.user)
    messages.success(request, _("This copy is a draft: change what you like, then launch it."))
    return redirect("campaigns:campaign_edit", copy.pk)


def _own(request: Signed, pk: int) -> Campaign:
    """The campaign, if the user may open it; else 403."""
    row = get_object_or_404(Campaign.objects.visible().select_related("owner"), pk=pk)
    if not request.user.may_change(row):
        raise PermissionDenied(_("Only the creator of this campaign, or an administrator, may open it."))
    return row


def _saved(form: CampaignForm, save: Callable[[], Campaign]) -> Campaign | None:
    """What `save` makes of a valid form, or None with its refusal in the form."""
    if not form.is_valid():
        return None
    try:
        return save()
    except ValidationError as error:
        form.refuse(error)
    except Conflict as error:
        form.add_error(None, str(error))
    return None


def _composer(request: Signed, form: CampaignForm, row: Campaign | None = None) -> HttpResponse:
    plan = form.plan(request.user, row)
    context: dict[str, Any] = {
        "form": form,
        "campaign": row,
        "attributes": form.attribute_names[:_ATTRIBUTES_OFFERED],
        "plan": plan,
        "outlook": outlook_of(plan),
        "saved_audiences": SavedAudience.objects.all() if row is None else [],
        "test_form": _test_form(request, composing="text" not in form.locked),
    }
    return render(request, "campaigns/composer.html", context, status=422 if form.is_bound else 200)
