"""A user's own account."""

from typing import Any, Final

from allauth.account.decorators import reauthentication_required
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
from accounts.forms import ProfileForm, TokenForm
from accounts.models import ApiToken, User
from accounts.profile.data_export import personal_data
from accounts.sign_in import revocation
from accounts.sign_in.deactivation import DeactivateForm
from project.http.client import UserRequest
from project.http.errors import show_refusal

_MAX_TOKENS: Final = 50


@login_required
def profile(request: UserRequest) -> HttpResponse:
    """Names, time zone, language and reports; below them the API tokens."""
    user = User.objects.get(pk=request.user.pk)  # a copy: an invalid form must not rename the signed-in user
    form = ProfileForm(request.POST or None, instance=user)
    if form.is_valid():
        with form.refusals():
            services.user_update(user=user, by=request.user, version=form.opened, **form.cleaned_data)
            messages.success(request, _("Settings saved."))
            return redirect("accounts:profile")
    return _profile(request, form=form)


@require_POST
@never_cache
@login_required
@reauthentication_required  # type: ignore[untyped-decorator]
def token_create(request: UserRequest) -> HttpResponse:
    """Show the new token in the response itself. A redirect would have to store it, and it would not stay secret."""
    form = TokenForm(request.POST)
    if not form.is_valid():
        return _profile(request, token_form=form)
    token, secret = services.token_create(user=request.user, **form.values())
    return _profile(request, new_token=token, secret=secret)


def _profile(request: UserRequest, **context: Any) -> HttpResponse:
    """Render the account page. A form that is not given is empty."""
    context.setdefault("form", ProfileForm(instance=request.user))
    context.setdefault("token_form", TokenForm())
    context["second_factor"] = is_mfa_enabled(request.user)
    context["tokens"] = request.user.tokens.order_by("-pk")[:_MAX_TOKENS]
    context["broken_webhooks"] = request.user.webhooks.exclude(disabled_at=None).count()
    return render(request, "accounts/profile.html", context)


@require_POST
@login_required
def token_revoke(request: UserRequest, pk: int) -> HttpResponse:
    """Revoke one of the user's tokens."""
    services.token_revoke(token=get_object_or_404(ApiToken, pk=pk), by=request.user)
    messages.success(request, _("Token revoked. It no longer works."))
    return redirect("accounts:profile")


@require_safe
@never_cache
@login_required
def password_changed(request: UserRequest) -> HttpResponse:
    """After a change of password, ask whether older tokens stay valid."""
    tokens = request.user.tokens.usable().order_by("-pk")
    if not tokens:
        return redirect("accounts:profile")
    return render(request, "accounts/password_changed.html", {"tokens": tokens})


@require_POST
@login_required
def tokens_revoke(request: UserRequest) -> HttpResponse:
    """Revoke all tokens of the user."""
    revocation.tokens_revoke(user=request.user)
    messages.success(request, _("All tokens have been revoked."))
    return redirect("accounts:profile")


@require_POST
@login_required
def session_end(request: UserRequest, pk: int) -> HttpResponse:
    """Sign out one of the user's sessions."""
    get_object_or_404(UserSession, pk=pk, user=request.user).end()
    messages.success(request, _("Session signed out."))
    return redirect("usersessions_list")


@login_required
def deactivate(request: UserRequest) -> HttpResponse:
    """Deactivate the user's own account, confirmed by password."""
    form = DeactivateForm(request.POST or None, user=request.user)
    if request.method != "POST" or not form.is_valid():
        return render(request, "accounts/deactivate.html", {"form": form})
    with show_refusal(request):
        services.user_deactivate(user=request.user, by=request.user)
        logout(request)
        messages.success(request, _("Your account is deactivated. Only an administrator can activate it again."))
        return redirect("account_login")
    return redirect("accounts:profile")


@require_safe
@never_cache
@login_required
def data(request: UserRequest) -> HttpResponse:
    """Download all personal data as JSON."""
    response = JsonResponse(personal_data(request.user), json_dumps_params={"ensure_ascii": False, "indent": 2})
    response["Content-Disposition"] = 'attachment; filename="vestnik-account.json"'
    return response
