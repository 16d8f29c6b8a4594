"""Accounts in the Django admin. Signing in to it goes through allauth, with rate limits and the second factor.

Administrators can view, superusers can change. Only superusers see the internals of the task queue.
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
from accounts.sign_in import revocation
from project.http.errors import Conflict

admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
# The environment configures the provider. Nobody may read its tokens or the keys of second factors.
admin.site.unregister([Authenticator, SocialAccount, SocialApp, SocialToken, UserSession])


class UserForm(forms.ModelForm[User]):
    """Edit a user; at least one active administrator must remain."""

    def clean(self) -> None:
        """Lock the administrators. The admin runs the view in one transaction."""
        super().clean()
        if self.instance.pk and not (self.cleaned_data.get("is_staff") and self.cleaned_data.get("is_active")):
            try:
                services.check_administrator_remains(self.instance)
            except Conflict as error:
                raise forms.ValidationError(str(error)) from error


@admin.register(User)
class UserAdmin(admin.ModelAdmin[User]):
    """Users without their passwords. They can be deactivated, not deleted."""

    form = UserForm
    list_display = ("email", "first_name", "last_name", "is_staff", "is_active", "date_joined")
    list_filter = ("is_staff", "is_active")
    search_fields = ("email", "first_name", "last_name")
    exclude = ("password",)
    readonly_fields = ("last_login", "date_joined")

    def save_model(self, request: HttpRequest, obj: User, form: forms.ModelForm[User], change: bool) -> None:
        """End the user's access on deactivation and reactivation, like the account pages."""
        super().save_model(request, obj, form, change)
        if change and "is_active" in form.changed_data:
            revocation.end_access_and_webhooks(obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Users can't be deleted, because objects keep their author."""
        return False


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # serves any model
    """Only the owner creates and changes these rows; superusers may delete them."""

    list_select_related = ("user",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Only the owner may see the secret of a new row."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Rows can't be edited."""
        return False


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    """API tokens and their owners."""

    list_display = ("prefix", "name", "user", "created_at", "expires_at", "last_used_at", "revoked_at")
    search_fields = ("name", "user__email")


@admin.register(SignIn)
class SignInAdmin(ReadOnlyAdmin):
    """The log of sign-ins."""

    list_display = ("user", "at", "address", "methods", "user_agent")
    search_fields = ("user__email", "address")
    show_full_result_count = False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Sign-ins can't be deleted; they are removed after 90 days."""
        return False


@admin.register(Authenticator)
class AuthenticatorAdmin(ReadOnlyAdmin):
    """Users' second factors, without the keys."""

    list_display = ("user", "type", "created_at", "last_used_at")
    list_filter = ("type",)
    search_fields = ("user__email",)
    exclude = ("data",)


@admin.register(SocialAccount)
class SocialAccountAdmin(ReadOnlyAdmin):
    """Users' accounts at the external provider."""

    list_display = ("user", "uid", "provider", "last_login")
    search_fields = ("uid", "user__email")
    exclude = ("extra_data",)


@admin.register(UserSession)
class UserSessionAdmin(ReadOnlyAdmin):
    """Open sessions. To end one, its user signs out or is deactivated."""

    list_display = ("user", "ip", "user_agent", "created_at", "last_seen_at")
    search_fields = ("ip", "user__email")
    exclude = ("data",)

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Sessions can't be deleted here: without its row, a session continues unseen."""
        return False
