"""Own account."""

from typing import Any, Final

from allauth.mfa.utils import is_mfa_enabled
from allauth.usersessions.models import UserSession
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts import services
from accounts.deactivation import DeactivateForm
from accounts.forms import ProfileForm, TokenForm
from accounts.models import ApiToken, User
from accounts.personal import personal_data
from project.http import Signed, refusal_shown

_TOKENS: Final = 50


@login_required
def profile(request: Signed) -> HttpResponse:
    """Names, time zone, language and daily report; below them the API tokens."""
    user = User.objects.get(pk=request.user.pk)  # its own copy: an invalid form must not rename the signed-in user
    form = ProfileForm(request.POST or None, instance=user)
    if form.is_valid():
        services.user_update(user=user, by=request.user, **form.cleaned_data)
        messages.success(request, _("Your settings are saved."))
        return redirect("accounts:profile")
    return _profile(request, form=form)


@require_POST
@never_cache
@login_required
def token_create(request: Signed) -> HttpResponse:
    """Show the new token in the answer itself: stored anywhere for a redirect, it would no longer be secret."""
    form = TokenForm(request.POST)
    if not form.is_valid():
        return _profile(request, token_form=form)
    token, secret = services.token_create(user=request.user, **form.values())
    return _profile(request, new_token=token, secret=secret)


def _profile(request: Signed, **context: Any) -> HttpResponse:
    """The account page; a form that is not given is fresh."""
    context.setdefault("form", ProfileForm(instance=request.user))
    context.setdefault("token_form", TokenForm())
    context["second_factor"] = is_mfa_enabled(request.user)
    context["tokens"] = request.user.tokens.order_by("-pk")[:_TOKENS]
    context["broken_webhooks"] = request.user.webhooks.exclude(disabled_at=None).count()
    return render(request, "accounts/profile.html", context)


@require_POST
@login_required
def token_revoke(request: Signed, pk: int) -> HttpResponse:
    """End one of one's own tokens."""
    services.token_revoke(token=get_object_or_404(ApiToken, pk=pk), by=request.user)
    messages.success(request, _("The token is revoked. Whatever used it can't any more."))
    return redirect("accounts:profile")


@require_POST
@login_required
def session_end(request: Signed, pk: int) -> HttpResponse:
    """Sign out one of one's own sessions."""
    get_object_or_404(UserSession, pk=pk, user=request.user).end()
    messages.success(request, _("It is signed out."))
    return redirect("usersessions_list")


@login_required
def deactivate(request: Signed) -> HttpResponse:
    """Close one's own account, with one's password."""
    form = DeactivateForm(request.POST or None, user=request.user)
    if request.method != "POST" or not form.is_valid():
        return render(request, "accounts/deactivate.html", {"form": form})
    with refusal_shown(request):
        services.user_deactivate(user=request.user, by=request.user)
        logout(request)
        messages.success(request, _("Your account is deactivated. An administrator can activate it again."))
        return redirect("account_login")
    return redirect("accounts:profile")


@require_safe
@never_cache
@login_required
def data(request: Signed) -> HttpResponse:
    """All that is held about oneself, as a file of JSON."""
    answer = JsonResponse(personal_data(request.user), json_dumps_params={"ensure_ascii": False, "indent": 2})
    answer["Content-Disposition"] = 'attachment; filename="vestnik-account.json"'
    return answer
