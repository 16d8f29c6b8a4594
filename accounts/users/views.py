"""Administrators' pages about users and invitations, and the page that an invitation opens."""

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

from accounts import services
from accounts.audit_log import history_of
from accounts.forms import InviteForm, MonthlyBudgetForm, SignupForm, UserListForm
from accounts.models import User
from accounts.sign_in import invitations
from project.http.client import UserRequest
from project.http.errors import Conflict, show_refusal
from project.http.lists import clean_query, render_list

_PAGE_SIZE: Final = 50
_MAX_SIGN_INS: Final = 20


class UserAction(NamedTuple):
    """An action on a user: the service, the success message, and the name of the action that undoes it."""

    execute: Callable[[User, User], object]
    message: Any
    undo: str = ""


_USER_ACTIONS: Final[dict[str, UserAction]] = {
    "activate": UserAction(
        lambda user, by: services.user_update(user=user, by=by, is_active=True),
        gettext_lazy("%(user)s is active again and can sign in."),
        "deactivate",
    ),
    "deactivate": UserAction(
        lambda user, by: services.user_update(user=user, by=by, is_active=False),
        gettext_lazy("%(user)s is deactivated and signed out on all devices."),
        "activate",
    ),
    "promote": UserAction(
        lambda user, by: services.user_update(user=user, by=by, is_staff=True),
        gettext_lazy("%(user)s is now an administrator."),
        "demote",
    ),
    "demote": UserAction(
        lambda user, by: services.user_update(user=user, by=by, is_staff=False),
        gettext_lazy("%(user)s is no longer an administrator."),
        "promote",
    ),
    "unlock": UserAction(
        lambda user, by: services.second_factor_remove(user=user, by=by),
        gettext_lazy("Two-factor authentication of %(user)s is off. A password is now enough to sign in."),
    ),
    "reinvite": UserAction(
        lambda user, by: invitations.invite_again(user=user, by=by),
        gettext_lazy("The invitation has been sent to %(user)s again."),
    ),
    "withdraw": UserAction(
        lambda user, by: invitations.withdraw(user=user), gettext_lazy("The invitation of %(user)s has been withdrawn.")
    ),
}


def administrators_only(request: UserRequest) -> None:
    """Raise PermissionDenied for other users."""
    if not request.user.is_staff:
        raise PermissionDenied(_("Only administrators can view all users."))


@require_safe
@login_required
def users(request: UserRequest) -> HttpResponse:
    """List all users, with a search by name and e-mail and a filter by state."""
    administrators_only(request)
    form = UserListForm(clean_query(request))
    return render_list(request, "accounts/users.html", {"form": form, "page": form.page(form.found(), _PAGE_SIZE)})


@login_required
def user(request: UserRequest, pk: int) -> HttpResponse:
    """Show a user: rights, budget, second factors and latest sign-ins; and save the budget."""
    administrators_only(request)
    row = get_object_or_404(User, pk=pk)
    form = MonthlyBudgetForm(request.POST or None, user=row)
    if form.is_valid():
        with form.refusals():
            services.user_update(user=row, by=request.user, version=form.opened, **form.cleaned_data)
            messages.success(request, _("Budget saved."))
            return redirect("accounts:user", pk)
    context = {
        "row": row,
        "form": form,
        "history": history_of(row),
        "second_factor": Authenticator.objects.filter(user=row).exclude(type="recovery_codes"),
        "sessions": UserSession.objects.filter(user=row).count(),
        "sign_ins": row.sign_ins.order_by("-pk")[:_MAX_SIGN_INS],
    }
    return render(request, "accounts/user.html", context)


@require_POST
@login_required
def user_change(request: UserRequest, pk: int, action: str) -> HttpResponse:
    """Run one of `_USER_ACTIONS`."""
    administrators_only(request)
    if action not in _USER_ACTIONS:
        raise Http404
    row = get_object_or_404(User, pk=pk)
    user_action = _USER_ACTIONS[action]
    with show_refusal(request):
        user_action.execute(row, request.user)
        undo = (
            reverse("accounts:user_change", args=[pk, user_action.undo])
            if user_action.undo and row != request.user
            else ""
        )
        messages.success(request, user_action.message % {"user": row}, extra_tags=undo)
    if row == request.user and not (row.is_staff and row.is_active):
        return redirect("home")
    if not User.objects.filter(pk=pk).exists():
        return redirect("accounts:users")
    return redirect("accounts:user", pk)


@login_required
def invite(request: UserRequest) -> HttpResponse:
    """Ask for an address, and send the invitation."""
    administrators_only(request)
    form = InviteForm(request.POST or None)
    if form.is_valid():
        try:
            row = invitations.invite(by=request.user, **form.cleaned_data)
        except ValidationError as error:
            form.add_error(None, error)
        else:
            messages.success(request, _("The invitation has been sent to %(email)s.") % {"email": row.email})
            return redirect("accounts:user", row.pk)
    return render(request, "accounts/invite.html", {"form": form})


class AcceptForm(SignupForm, SetPasswordForm):  # type: ignore[misc]  # allauth is not typed
    """Names and a password of an invited user."""


@never_cache
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Open the link of an invitation: choose a password, and be signed in."""
    row = invitations.invited_user(token)
    if row is None:
        return render(request, "accounts/invitation.html")
    form = AcceptForm(row, request.POST or None)
    if form.is_valid():
        names = {name: form.cleaned_data[name] for name in ("first_name", "last_name")}
        try:
            invitations.accept(user=row, password=form.cleaned_data["password1"], **names)
        except Conflict:
            return render(request, "accounts/invitation.html")
        response: HttpResponse = perform_login(request, row, email_verification="none")
        return response
    return render(request, "accounts/invitation.html", {"row": row, "form": form})
