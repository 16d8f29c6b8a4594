"""Administrators' pages: everyone, one user, and who is invited; and the page that an invitation opens."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from allauth.account.forms import SetPasswordForm
from allauth.account.utils import perform_login
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts import invitations, services
from accounts.forms import InviteForm, SignupForm, UserListForm
from accounts.models import User
from project.http import Conflict, Signed, refusal_shown
from project.lists import list_shown, tidied

_PAGE: Final = 50
_SIGN_INS: Final = 20


class Change(NamedTuple):
    """What a button does to a user, what is said then, and which of the others takes it back."""

    make: Callable[[User, User], object]
    said: Any
    undo: str = ""


_USER_ACTIONS: Final[dict[str, Change]] = {
    "activate": Change(
        lambda user, by: services.user_update(user=user, by=by, is_active=True),
        gettext_lazy("%(user)s can sign in again."),
        "deactivate",
    ),
    "deactivate": Change(
        lambda user, by: services.user_update(user=user, by=by, is_active=False),
        gettext_lazy("%(user)s is deactivated and signed out everywhere."),
        "activate",
    ),
    "promote": Change(
        lambda user, by: services.user_update(user=user, by=by, is_staff=True),
        gettext_lazy("%(user)s is an administrator now."),
        "demote",
    ),
    "demote": Change(
        lambda user, by: services.user_update(user=user, by=by, is_staff=False),
        gettext_lazy("%(user)s is no administrator any more."),
        "promote",
    ),
    "unlock": Change(
        lambda user, by: services.second_factor_remove(user=user, by=by),
        gettext_lazy("%(user)s signs in with the password alone now."),
    ),
    "reinvite": Change(
        lambda user, by: invitations.invite_again(user=user, by=by),
        gettext_lazy("The invitation is on its way to %(user)s again."),
    ),
    "withdraw": Change(
        lambda user, by: invitations.withdraw(user=user), gettext_lazy("The invitation of %(user)s is withdrawn.")
    ),
}


def administrators_only(request: Signed) -> None:
    """Others get 403."""
    if not request.user.is_staff:
        raise PermissionDenied(_("Only administrators see all users."))


@require_safe
@login_required
def users(request: Signed) -> HttpResponse:
    """Everyone, with a search by name and e-mail, and a filter by state."""
    administrators_only(request)
    form = UserListForm(tidied(request))
    return list_shown(request, "accounts/users.html", {"form": form, "page": form.page(form.found(), _PAGE)})


@require_safe
@login_required
def user(request: Signed, pk: int) -> HttpResponse:
    """One user: what they may, what protects them, and their latest sign-ins."""
    administrators_only(request)
    row = get_object_or_404(User, pk=pk)
    context = {
        "row": row,
        "second_factor": Authenticator.objects.filter(user=row).exclude(type="recovery_codes"),
        "sessions": UserSession.objects.filter(user=row).count(),
        "sign_ins": row.sign_ins.order_by("-pk")[:_SIGN_INS],
    }
    return render(request, "accounts/user.html", context)


@require_POST
@login_required
def user_change(request: Signed, pk: int, action: str) -> HttpResponse:
    """One of `_USER_ACTIONS`."""
    administrators_only(request)
    if action not in _USER_ACTIONS:
        raise Http404
    row = get_object_or_404(User, pk=pk)
    change = _USER_ACTIONS[action]
    with refusal_shown(request):
        change.make(row, request.user)
        undo = reverse("accounts:user_change", args=[pk, change.undo]) if change.undo and row != request.user else ""
        messages.success(request, change.said % {"user": row}, extra_tags=undo)
    if row == request.user and not (row.is_staff and row.is_active):
        return redirect("home")
    if not User.objects.filter(pk=pk).exists():
        return redirect("accounts:users")
    return redirect("accounts:user", pk)


@login_required
def invite(request: Signed) -> HttpResponse:
    """Ask for the address, and send the letter."""
    administrators_only(request)
    form = InviteForm(request.POST or None)
    if form.is_valid():
        try:
            row = invitations.invite(by=request.user, **form.cleaned_data)
        except ValidationError as error:
            form.add_error(None, error)
        else:
            messages.success(request, _("The invitation is on its way to %(email)s.") % {"email": row.email})
            return redirect("accounts:user", row.pk)
    return render(request, "accounts/invite.html", {"form": form})


class AcceptForm(SignupForm, SetPasswordForm):  # type: ignore[misc]  # allauth is not typed
    """Names and a password: what an invited user adds to their address."""


@never_cache
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Where the link of the letter leads: choose a password, and be in."""
    row = invitations.of_token(token)
    if row is None:
        return render(request, "accounts/invitation.html")
    form = AcceptForm(row, request.POST or None)
    if form.is_valid():
        names = {name: form.cleaned_data[name] for name in ("first_name", "last_name")}
        try:
            invitations.accept(user=row, password=form.cleaned_data["password1"], **names)
        except Conflict:
            return render(request, "accounts/invitation.html")
        entered: HttpResponse = perform_login(request, row, email_verification="none")
        return entered
    return render(request, "accounts/invitation.html", {"row": row, "form": form})
