"""The pages of campaigns."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models.functions import Lower
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import reselect, reswap, retarget

from accounts.audit_log import history_of
from accounts.optimistic_locking import Stale
from campaigns import services
from campaigns.gateways import registry
from campaigns.models import Campaign, Message
from campaigns.pages import autosave
from campaigns.pages.budgets import reached
from campaigns.pages.forecast import DAYTIME, forecast_of
from campaigns.pages.forms import CampaignForm, FilterForm, MessageFilterForm, SendTestForm
from campaigns.pages.live_sections import MOVING, PARTS, parts_of
from campaigns.pages.message_list import ALL, LATEST
from campaigns.pages.own import own_campaign
from campaigns.pages.progress import progress_of_runs
from campaigns.pages.wording import plan_words
from campaigns.states import OPEN, CampaignStatus, Resolution
from directory.audiences.audience import Audience
from directory.models import Contact, SavedAudience
from project.http.client import UserRequest
from project.http.errors import Conflict, show_refusal
from project.http.lists import NEWEST, clean_query, page_after, render_list

_PAGE_SIZE: Final = 30
_LATEST: Final = 10
_ATTRIBUTES_OFFERED: Final = 12
_LAUNCH: Final = "launch"
_DAYTIME: Final = "daytime"
_DISCARD: Final = "discard"
LAST_PHONE: Final = "test_phone"
"""Where a session has the phone of its last test."""
# The actions of a campaign's page, with their messages.
_ACTIONS: Final[dict[str, tuple[Callable[..., Any], Any]]] = {
    _LAUNCH: (services.campaign_launch, gettext_lazy("Campaign “%(name)s” launched.")),
    "withdraw": (services.campaign_withdraw, gettext_lazy("Campaign “%(name)s” is a draft again.")),
    "pause": (services.campaign_pause, gettext_lazy("Campaign “%(name)s” paused. Nothing more is sent.")),
    "resume": (services.campaign_resume, gettext_lazy("Campaign “%(name)s” resumed.")),
    "retry-failed": (services.campaign_retry_failed, gettext_lazy("Failed messages of “%(name)s” are being retried.")),
    "unknown-retry": (
        partial(services.campaign_resolve, resolution=Resolution.RETRY),
        gettext_lazy("Stopped messages of “%(name)s” are being retried."),
    ),
    "unknown-resend": (
        partial(services.campaign_resolve, resolution=Resolution.RESEND),
        gettext_lazy("Unknown messages of “%(name)s” are being resent."),
    ),
    "unknown-sent": (
        partial(services.campaign_resolve, resolution=Resolution.SENT),
        gettext_lazy("Unknown messages of “%(name)s” are being marked as sent."),
    ),
    "unknown-failed": (
        partial(services.campaign_resolve, resolution=Resolution.FAILED),
        gettext_lazy("Unknown messages of “%(name)s” are being marked as failed."),
    ),
    "cancel": (services.campaign_cancel, gettext_lazy("Campaign “%(name)s” cancelled.")),
    "delete": (
        services.campaign_delete,
        gettext_lazy("Campaign “%(name)s” deleted. Its statistics are kept in the reports."),
    ),
}


_RESOLVED: Final[dict[str, Any]] = {
    Resolution.RETRY: gettext_lazy("The message is being retried."),
    Resolution.RESEND: gettext_lazy("The message is being resent as this new one."),
    Resolution.SENT: gettext_lazy("Message marked as sent."),
    Resolution.FAILED: gettext_lazy("Message marked as failed."),
}


@require_safe
@login_required
def campaigns(request: UserRequest) -> HttpResponse:
    """All users' campaigns, with figures of the user's own. A live search gets only the list, from the same address."""
    form = FilterForm(clean_query(request))
    page = form.page(_found(request, form.read()), _PAGE_SIZE)
    shown = [(row, request.user.may_change(row)) for row in page.items]
    context = {
        "form": form,
        "page": page,
        "rows": [(row, mine, progress_of_runs(row.runs.all()) if mine else None) for row, mine in shown],
        "live": any(row.status == CampaignStatus.RUNNING for row in page.items),
    }
    return render_list(request, "campaigns/campaigns.html", context)


def _found(request: UserRequest, wanted: dict[str, Any]) -> Any:
    """The campaigns that match the filters, with their runs."""
    found = Campaign.objects.visible().select_related("owner").prefetch_related("runs")
    found = found.annotate(lower_name=Lower("name"))
    if wanted["q"]:
        found = found.search(wanted["q"])
    if wanted["status"]:
        found = found.filter(status=wanted["status"])
    return found.filter(owner=request.user) if wanted["mine"] else found


@login_required
def campaign_create(request: UserRequest) -> HttpResponse:
    """Compose a new campaign: save it as a draft, or launch it."""
    audience_filter = _saved_audience(request)
    if request.method == "POST" or audience_filter is None:
        response = _unsaved(request)
        if response is not None:
            return response
    form = CampaignForm(request.POST or None, audience_filter=audience_filter)
    draft = request.POST.get("action") != _LAUNCH

    def save() -> Campaign:
        return services.campaign_create(owner=request.user, draft=draft, **form.values())

    row = _saved(form, save)
    if row is None:
        return _composer(request, form)
    autosave.forget(request.user, None)
    messages.success(
        request, (_("Campaign “%(name)s” saved.") if draft else _("Campaign “%(name)s” launched.")) % {"name": row}
    )
    return redirect("campaigns:campaign", row.pk)


def _unsaved(request: UserRequest, row: Campaign | None = None) -> HttpResponse | None:
    """Answers of the composer that save nothing: restore or discard unsaved input, or set daytime hours."""
    action = request.POST.get("action")
    if action == _DISCARD:
        autosave.forget(request.user, row)
        return redirect(request.path)
    data = autosave.kept(request.user, row) if request.method == "GET" else None
    if action == _DAYTIME:
        data = request.POST.copy()
        data["window_start"], data["window_end"] = (f"{hour:%H:%M}" for hour in DAYTIME)
    if data is None:
        return None
    form = CampaignForm(data, campaign=row)
    form.is_valid()
    form.errors.clear()  # nothing is saved yet
    return _composer(request, form, row, restored=request.method == "GET")


def _saved_audience(request: UserRequest) -> Audience | None:
    """The saved audience in the address; 404 if it does not exist: without it the form would select everyone."""
    audience_id = request.GET.get("audience")
    if audience_id is None:
        return None
    if not (audience_id.isascii() and audience_id.isdigit() and len(audience_id) < 19):
        raise Http404
    return get_object_or_404(SavedAudience, pk=audience_id).audience_filter


@login_required
def campaign_edit(request: UserRequest, pk: int) -> HttpResponse:
    """Change what the campaign's status allows; a draft can also be launched."""
    row = own_campaign(request, pk)
    response = _unsaved(request, row)
    if response is not None:
        return response
    form = CampaignForm(request.POST or None, campaign=row)
    launch = row.status == CampaignStatus.DRAFT and request.POST.get("action") == _LAUNCH

    @transaction.atomic
    def save() -> Campaign:
        changed = services.campaign_update(campaign=row, by=request.user, version=form.opened, **form.changes())
        return services.campaign_launch(campaign=changed, by=request.user) if launch else changed

    changed = _saved(form, save)
    if changed is None:
        return _composer(request, form, row)
    autosave.forget(request.user, row)
    text = _("Campaign “%(name)s” launched.") if launch else _("Campaign “%(name)s” saved.")
    messages.success(request, text % {"name": changed})
    return redirect("campaigns:campaign", pk)


@require_POST
@login_required
def preview(request: UserRequest, pk: int | None = None) -> HttpResponse:
    """The composer's preview, or the review before the launch. Unsaved input is stored."""
    row = own_campaign(request, pk) if pk is not None else None
    form = CampaignForm(request.POST, campaign=row)
    form.is_valid()
    if form.has_changed():
        autosave.keep(request.user, row, request.POST)
    plan = form.plan(request.user, row)
    part = "review" if request.htmx.target == "review-body" else "preview"
    context = {"form": form, "campaign": row, "plan": plan, "forecast": forecast_of(plan)}
    return render(request, f"campaigns/composer.html#{part}", context)


@require_safe
@login_required
def campaign(request: UserRequest, pk: int) -> HttpResponse:
    """A campaign's page: progress, chart, messages and failures.

    While the campaign runs, each part of the page refreshes itself. If the status has changed, a refresh replaces the
    whole page.
    """
    row = own_campaign(request, pk)
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
    context |= reached(row, context["statistics"])
    if not context["runs"]:
        context["forecast"] = forecast_of(row)
    if target in PARTS:  # the user may be looking, or listening, elsewhere
        values = {"name": row, "state": row.get_status_display().lower()}
        messages.info(request, _("“%(name)s”: the status is now %(state)s.") % values)
    response = _varied(render(request, "campaigns/campaign.html", context))
    return retarget(reselect(reswap(response, "outerHTML"), "#main"), "#main") if target in PARTS else response


def _varied(response: HttpResponse) -> HttpResponse:
    """Add Vary: htmx gets a part of the page from the same address."""
    patch_vary_headers(response, ["HX-Request", "HX-Target"])
    return response


@require_safe
@login_required
def message(request: UserRequest, pk: int, message_pk: int) -> HttpResponse:
    """The history of one message, beside the table or as a page."""
    row = own_campaign(request, pk)
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
        "idempotent": shown.unresolved and registry.all_gateways_idempotent(row),
    }
    return _varied(render(request, f"campaigns/message.html{'#beside' if request.htmx else ''}", context))


@require_safe
@login_required
def contact_messages(request: UserRequest, contact_pk: int) -> HttpResponse:
    """Messages to a contact from campaigns that the user may open: a part of the contact's page, or a page."""
    contact = get_object_or_404(Contact, pk=contact_pk)
    found = Message.objects.to(contact).select_related("run__campaign", "contact")
    if not request.user.is_staff:
        found = found.filter(run__campaign__owner=request.user)
    limit = _LATEST if request.htmx else _PAGE_SIZE
    context = {"contact": contact, "page": page_after(found, NEWEST, request.GET.get("cursor"), limit)}
    return _varied(render(request, f"campaigns/contact_messages.html{'#rows' if request.htmx else ''}", context))


def _message_of(row: Campaign, message_pk: int) -> Message:
    """One of the campaign's messages."""
    found = Message.objects.filter(run__campaign=row).select_related("contact", "run__campaign")
    return get_object_or_404(found, pk=message_pk)


@require_POST
@login_required
def message_act(request: UserRequest, pk: int, message_pk: int, action: str) -> HttpResponse:
    """Resolve an unknown message, and show it, or the new one sent instead."""
    shown = _message_of(own_campaign(request, pk), message_pk)
    if action not in _RESOLVED:
        raise Http404
    with show_refusal(request):
        shown = services.message_resolve(message=shown, by=request.user, resolution=Resolution(action))
        messages.success(request, _RESOLVED[action])
    return redirect("campaigns:message", pk, shown.pk)


@require_POST
@login_required
def send_test(request: UserRequest, pk: int | None = None) -> HttpResponse:
    """Send a test message now: the campaign's text, or the current text of the composer."""
    row = own_campaign(request, pk) if pk is not None else None
    form, sent = SendTestForm(request.POST, composing=row is None or "text" in request.POST), None
    if form.is_valid():
        request.session[LAST_PHONE] = form.cleaned_data["phone"]
        try:
            tested = _composed(form, row or Campaign(owner=request.user))
            sent = services.campaign_test(campaign=tested, by=request.user, phone=form.cleaned_data["phone"])
        except ValidationError as error:
            form.add_error(None, error.messages)  # the campaign's text has no field here
    context = {"test_form": form, "test_url": request.path, "sent": sent}
    return render(request, "campaigns/test_form.html", context, status=200 if sent else 422)


def _composed(form: SendTestForm, row: Campaign) -> Campaign:
    """The campaign as it is in the composer now. What can't be changed any more is not sent by its page."""
    for name in form.fields.keys() & form.data.keys() - {"phone"}:
        setattr(row, name, form.cleaned_data[name])
    return row


@require_safe
@login_required
def test_sent(request: UserRequest, message_pk: int) -> HttpResponse:
    """The status of a test message."""
    mine = Message.objects.transactional_of(request.user)
    sent = get_object_or_404(mine.select_related("run__campaign"), pk=message_pk)
    return render(request, "campaigns/test_sent.html", {"sent": sent})


def _test_form(request: UserRequest, *, composing: bool = False) -> SendTestForm:
    """The test form, with the phone last used in this session."""
    return SendTestForm(initial={"phone": request.session.get(LAST_PHONE, "")}, composing=composing)


@require_POST
@login_required
def campaign_act(request: UserRequest, pk: int, action: str) -> HttpResponse:
    """Run one of `_ACTIONS`."""
    row = own_campaign(request, pk)
    if action not in _ACTIONS:
        raise Http404
    act, text = _ACTIONS[action]
    with show_refusal(request):
        act(campaign=row, by=request.user)
        messages.success(request, text % {"name": row})
        if action == "delete":
            return redirect("campaigns:campaigns")
    return redirect("campaigns:campaign", pk)


@require_POST
@login_required
def campaign_duplicate(request: UserRequest, pk: int) -> HttpResponse:
    """Create a draft copy and open it in the composer."""
    with show_refusal(request):
        copy = services.campaign_duplicate(campaign=own_campaign(request, pk), by=request.user)
        messages.success(request, _("This copy is a draft. Edit it if needed, then launch it."))
        return redirect("campaigns:campaign_edit", copy.pk)
    return redirect("campaigns:campaign", pk)


def _saved(form: CampaignForm, save: Callable[[], Campaign]) -> Campaign | None:
    """Save a valid form; None if it is refused, with the errors in the form."""
    if not form.is_valid():
        return None
    try:
        return save()
    except ValidationError as error:
        form.refuse(error)
    except Stale as error:
        form.show_conflict(error)
    except Conflict as error:
        form.add_error(None, str(error))
    return None


def _composer(
    request: UserRequest, form: CampaignForm, row: Campaign | None = None, *, restored: bool = False
) -> HttpResponse:
    plan = form.plan(request.user, row)
    context: dict[str, Any] = {
        "form": form,
        "campaign": row,
        "attributes": form.attribute_names[:_ATTRIBUTES_OFFERED],
        "plan": plan,
        "forecast": forecast_of(plan),
        "saved_audiences": SavedAudience.objects.all() if row is None else [],
        "test_form": _test_form(request, composing="text" not in form.locked),
        "restored": restored,
    }
    refused = form.is_bound and (form.errors or form.stale)
    return render(request, "campaigns/composer.html", context, status=422 if refused else 200)
