"""The Django admin's view of accounts; signing in to it goes through allauth, with its limits and second factor.

Administrators look, superusers change; what belongs to the machinery of tasks only superusers see.
"""

from allauth.account.decorators import secure_admin_login
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from allauth.usersessions.models import UserSession
from django import forms
from django.contrib import admin
from django.http import HttpRequest

from accounts import services
from accounts.models import ApiToken, SignIn, User
from project.http import Conflict

admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
# The provider is set by the environment; tokens of it and keys of the second factor are nobody's to read.
admin.site.unregister([Authenticator, SocialAccount, SocialApp, SocialToken, UserSession])


class UserForm(forms.ModelForm[User]):
    """A user, with the rule that an active administrator must be left."""

    def clean(self) -> None:
        """Lock the administrators: the view is one transaction."""
        super().clean()
        if self.instance.pk and not (self.cleaned_data.get("is_staff") and self.cleaned_data.get("is_active")):
            try:
                services.check_administrator_left(self.instance)
            except Conflict as error:
                raise forms.ValidationError(str(error)) from error


@admin.register(User)
class UserAdmin(admin.ModelAdmin[User]):
    """Users without their passwords; deactivated rather than deleted."""

    form = UserForm
    list_display = ("email", "first_name", "last_name", "is_staff", "is_active", "date_joined")
    list_filter = ("is_staff", "is_active")
    search_fields = ("email", "first_name", "last_name")
    exclude = ("password",)
    readonly_fields = ("last_login", "date_joined")

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """What a user made must keep its author."""
        return False


class Looked(admin.ModelAdmin):  # type: ignore[type-arg]  # serves any model
    """Made and changed by its user only; superusers may end it."""

    list_select_related = ("user",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """What it holds is for the owner's eyes."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """It is what it was made as."""
        return False


@admin.register(ApiToken)
class ApiTokenAdmin(Looked):
    """Who holds tokens."""

    list_display = ("prefix", "name", "user", "created_at", "expires_at", "last_used_at", "revoked_at")
    search_fields = ("name", "user__email")


@admin.register(SignIn)
class SignInAdmin(Looked):
    """Who signed in when."""

    list_display = ("user", "at", "address", "methods", "user_agent")
    search_fields = ("user__email", "address")
    show_full_result_count = False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """What happened, happened; it goes by itself after 90 days."""
        return False


@admin.register(Authenticator)
class AuthenticatorAdmin(Looked):
    """Who has a second factor, without its key."""

    list_display = ("user", "type", "created_at", "last_used_at")
    list_filter = ("type",)
    search_fields = ("user__email",)
    exclude = ("data",)


@admin.register(SocialAccount)
class SocialAccountAdmin(Looked):
    """Who signs in by the external provider."""

    list_display = ("user", "uid", "provider", "last_login")
    search_fields = ("uid", "user__email")
    exclude = ("extra_data",)


@admin.register(UserSession)
class UserSessionAdmin(Looked):
    """Where users are signed in. To end a session, its user signs it out, or is deactivated."""

    list_display = ("user", "ip", "user_agent", "created_at", "last_seen_at")
    search_fields = ("ip", "user__email")
    exclude = ("data",)

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Without its row the session would go on unseen."""
        return False
