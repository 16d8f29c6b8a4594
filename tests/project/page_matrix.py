"""Permissions of every page URL. A new URL needs a row here; `test_page_permissions.py` enforces it.

A row says what GET and POST answer to each caller, for something of Alice's, who is the `owner`. An address whose
last part is a verb has all of them in `values`.
"""

from collections.abc import Iterator
from itertools import product
from typing import Any, Final, NamedTuple

from accounts.users.views import _USER_ACTIONS
from campaigns.pages.views import _ACTIONS as CAMPAIGN_ACTIONS
from campaigns.pages.views import _RESOLVED
from directory.imports.views import _ACTIONS as IMPORT_ACTIONS
from reports.exports import BREAKDOWN_ITEMS
from tests import factories
from tests.campaigns.browser_client import composed

CALLERS: Final = ("anonymous", "deactivated", "other", "owner", "admin", "superuser")
STAFF: Final = ("admin", "superuser")
SECRET: Final = "for-alice-alone"
SIGN_IN: Final = "sign-in"
"""Redirect to the sign-in page."""
Answer = int | str
Who = dict[str, Answer]


def anyone(answer: Answer, *, inside: Answer | None = None) -> Who:
    """Everyone; `inside` is for signed-in users."""
    return dict.fromkeys(CALLERS, inside or answer) | dict.fromkeys(("anonymous", "deactivated"), answer)


def users(answer: Answer, *, other: Answer | None = None, owner: Answer | None = None) -> Who:
    """Signed-in users. Deactivated users count as anonymous, superusers as administrators."""
    return {**anyone(SIGN_IN, inside=answer), "other": other or answer, "owner": owner or answer}


def owners(answer: Answer, *, other: Answer = 403, admin: Answer | None = None) -> Who:
    """The owner, and administrators unless stated otherwise."""
    return {**anyone(SIGN_IN, inside=admin or answer), "other": other, "owner": answer}


def admins(answer: Answer) -> Who:
    """Administrators."""
    return users(answer, other=403, owner=403)


def staff(answer: Answer, *, others: Answer = SIGN_IN) -> Who:
    """Administrators, in the Django admin, which redirects others to sign in."""
    return users(answer, other=others, owner=others)


NOBODY: Final = anyone(405)


class Page(NamedTuple):
    """One URL: permissions of GET, of POST with `data`, and values of the free parts of the path."""

    get: Who = NOBODY
    post: Who = NOBODY
    data: dict[str, Any] = {}
    values: dict[str, tuple[str, ...]] = {}
    csrf: bool = True
    """Whether a POST needs a CSRF token. A URL with its own signature needs none."""

    def paths(self, address: str) -> Iterator[str]:
        """The URL with each of its values; numbers are filled later."""
        for chosen in product(*self.values.values()):
            path = address
            for name, value in zip(self.values, chosen, strict=True):
                path = path.replace(f"<{name}>", value).replace(f"<slug:{name}>", value).replace(f"<str:{name}>", value)
            yield path


FILES: Final[dict[str, tuple[str, ...]]] = {"kind": ("csv", "xlsx")}
NEVER: Final = "2099-01-01T00:00"
STRONG: Final = {"password1": "another good one", "password2": "another good one"}
NEW_USER: Final = {"email": "new@example.org", "first_name": "New", "last_name": "User", **STRONG}
ACCOUNT: Final = {"first_name": "Anna", "last_name": "", "timezone": "Europe/Moscow", "language": "en"}

PAGES: Final[dict[str, Page]] = {
    # Reports
    "/": Page(users(200)),
    "/find/": Page(users(200)),
    "/reports/": Page(users(200)),
    "/reports/<what>.<kind>": Page(users(200), values={"what": ("campaigns", *BREAKDOWN_ITEMS), **FILES}),
    "/reports/campaigns/<pk>/": Page(owners(200, other=404)),
    "/reports/campaigns/<pk>/<what>.<kind>": Page(
        owners(200, other=404), values={"what": ("messages", *BREAKDOWN_ITEMS), **FILES}
    ),
    "/reports/email/": Page(users(200)),
    "/reports/email/body/": Page(users(200)),
    "/reports/email/send/": Page(post=users(302)),
    "/reports/email/off/<str:token>/": Page(anyone(200), anyone(200), csrf=False),
    # The account
    "/account/": Page(users(200), users(302), ACCOUNT),
    "/account/deactivate/": Page(users(200), users(302), {"password": factories.PASSWORD}),
    "/account/data/": Page(users(200)),
    "/account/sessions/<int:pk>/end/": Page(post=owners(302, other=404, admin=404)),
    "/account/tokens/": Page(post=users(302), data={"name": "script", "scopes": ["read"], "lifetime": "30"}),
    "/account/tokens/<int:pk>/revoke/": Page(post=owners(302, admin=403)),
    "/account/tokens/revoke/": Page(post=users(302)),
    "/account/password/changed/": Page(owners(200, other=302, admin=302)),
    "/account/webhooks/": Page(users(200), users(200), {"url": "https://8.8.8.8/new", "events": ["message.sent"]}),
    "/account/webhooks/<int:pk>/": Page(owners(200, other=404, admin=404)),
    "/account/webhooks/<int:pk>/delete/": Page(post=owners(302, other=404, admin=404)),
    "/account/webhooks/<int:pk>/enable/": Page(post=owners(302, other=404, admin=404)),
    "/account/webhooks/<int:pk>/deliveries/<int:delivery_pk>/resend/": Page(post=owners(302, other=404, admin=404)),
    # Users
    "/users/": Page(admins(200)),
    "/users/invite/": Page(admins(200), admins(302), {"email": "new@example.org"}),
    "/users/<int:pk>/": Page(admins(200), admins(302), {"monthly_budget": "100"}),
    "/users/<int:pk>/<slug:action>/": Page(post=admins(302), values={"action": tuple(_USER_ACTIONS)}),
    "/i18n/setlang/": Page(anyone(302), anyone(302), {"language": "ru"}),
    # Gateways
    "/gateways/": Page(admins(200)),
    "/gateways/new/": Page(
        admins(200), admins(302), {"name": "second", "kind": "probe", "url": "https://8.8.8.8/v1", "active": "on"}
    ),
    "/gateways/<slug:name>/": Page(admins(200), admins(302), {"fallback": ""}, values={"name": ("probe",)}),
    "/gateways/<slug:name>/check/": Page(post=admins(200), values={"name": ("probe",)}),
    "/gateways/<slug:name>/send/": Page(post=admins(200), data={"phone": "79161234567"}, values={"name": ("probe",)}),
    "/gateways/<slug:name>/sample/": Page(post=admins(200), data={"kind": "answer"}, values={"name": ("probe",)}),
    "/gateways/<slug:name>/prices/": Page(
        admins(200), admins(302), {"price": "2.50", "valid_from": "2026-01-01"}, values={"name": ("probe",)}
    ),
    "/gateways/<slug:name>/prices/import/": Page(post=admins(422), values={"name": ("probe",)}),
    "/gateways/<slug:name>/prices/export/": Page(admins(200), values={"name": ("probe",)}),
    "/gateways/<slug:name>/prices/<int:pk>/delete/": Page(admins(200), admins(302), values={"name": ("probe",)}),
    # Sign-in, by allauth
    "/accounts/login/": Page(
        anyone(200, inside=302),
        anyone(302),
        {"login": "bob@example.org", "password": factories.PASSWORD},
    ),
    "/accounts/logout/": Page(anyone(302, inside=200), anyone(302)),
    "/accounts/inactive/": Page(anyone(200), anyone(405)),
    "/accounts/signup/": Page(anyone(200, inside=302), anyone(302), NEW_USER),
    "/accounts/reauthenticate/": Page(users(200), users(302), {"password": factories.PASSWORD}),
    "/accounts/email/": Page(users(200), users(302), {"action_add": "", "email": "new@example.org"}),
    "/accounts/confirm-email/": Page(anyone(200), anyone(405)),
    "/accounts/confirm-email/<key>/": Page(anyone(200), anyone(404), values={"key": ("of-no-use",)}),
    "/accounts/password/change/": Page(
        users(200), users(302), {"oldpassword": factories.PASSWORD, "password1": "q1w2e3r4t5y6", **STRONG}
    ),
    "/accounts/password/set/": Page(users(302), users(302), STRONG),
    "/accounts/password/reset/": Page(anyone(200), anyone(302), {"email": "alice@example.org"}),
    "/accounts/password/reset/done/": Page(anyone(200), anyone(405)),
    "/accounts/password/reset/key/<uidb36>-<key>/": Page(
        anyone(200), anyone(200), STRONG, values={"uidb36": ("1",), "key": ("of-no-use",)}
    ),
    "/accounts/password/reset/key/done/": Page(anyone(200), anyone(405)),
    "/accounts/login/code/confirm/": Page(anyone(302), anyone(302)),
    "/accounts/sessions/": Page(users(200), users(302)),
    "/accounts/invitation/<str:token>/": Page(anyone(200), anyone(200), values={"token": ("of-no-use",)}),
    # Second factors; changes require reauthentication
    "/accounts/2fa/": Page(users(200), users(405)),
    "/accounts/2fa/authenticate/": Page(anyone(302), anyone(302), {"code": "123456"}),
    "/accounts/2fa/reauthenticate/": Page(users(302), users(302), {"code": "123456"}),
    "/accounts/2fa/totp/activate/": Page(users(302), users(302), {"code": "123456"}),
    "/accounts/2fa/totp/deactivate/": Page(users(404), users(404)),
    "/accounts/2fa/recovery-codes/": Page(users(404), users(405)),
    "/accounts/2fa/recovery-codes/download/": Page(users(404), users(404)),
    "/accounts/2fa/recovery-codes/generate/": Page(users(302), users(302)),
    "/accounts/2fa/webauthn/": Page(users(200), users(405)),
    "/accounts/2fa/webauthn/add/": Page(users(302), users(302), {"name": "New", "credential": "{}"}),
    "/accounts/2fa/webauthn/login/": Page(anyone(302), anyone(302), {"credential": "{}"}),
    "/accounts/2fa/webauthn/reauthenticate/": Page(users(302), users(302), {"credential": "{}"}),
    "/accounts/2fa/webauthn/keys/<int:pk>/edit/": Page(users(302), users(302), {"name": "Mine"}),
    "/accounts/2fa/webauthn/keys/<int:pk>/remove/": Page(users(302), users(302)),
    # The external provider, which is not configured here
    "/accounts/3rdparty/": Page(users(200), users(200)),
    "/accounts/3rdparty/signup/": Page(anyone(302), anyone(302), NEW_USER),
    "/accounts/3rdparty/login/cancelled/": Page(anyone(200), anyone(405)),
    "/accounts/3rdparty/login/error/": Page(anyone(401), anyone(405)),
    "/accounts/social/login/cancelled/": Page(anyone(301), anyone(301)),
    "/accounts/social/login/error/": Page(anyone(301), anyone(301)),
    "/accounts/social/signup/": Page(anyone(301), anyone(301)),
    "/accounts/social/connections/": Page(anyone(301), anyone(301)),
    "/accounts/oidc/<provider_id>/login/": Page(anyone(404), anyone(404), values={"provider_id": ("oidc",)}),
    "/accounts/oidc/<provider_id>/login/callback/": Page(anyone(404), anyone(404), values={"provider_id": ("oidc",)}),
    # The directory: all users see all contacts, and change their own
    "/contacts/": Page(users(200)),
    "/contacts/export.<kind>": Page(users(200), values=FILES),
    "/contacts/new/": Page(users(200), users(302), {"phone": "79161234567", "timezone": "Europe/Moscow"}),
    "/contacts/<int:pk>/": Page(users(200)),
    "/contacts/<int:pk>/edit/": Page(
        owners(200), owners(302), {"phone": "79161234567", "first_name": "Anna", "timezone": "Europe/Moscow"}
    ),
    "/contacts/<int:pk>/erase/": Page(post=owners(302)),
    "/contacts/<int:pk>/deactivate/": Page(post=owners(302)),
    "/contacts/<int:pk>/reactivate/": Page(post=owners(302)),
    "/contacts/bulk/": Page(post=users(200), data={"kind": "deactivate", "everything": "on"}),
    "/contacts/bulk/begin/": Page(post=users(302), data={"kind": "tag", "tag": "new", "everything": "on"}),
    "/contacts/bulk/<int:pk>/": Page(owners(200)),
    "/contacts/tags/": Page(users(200)),
    "/contacts/tags/<int:pk>/": Page(users(200), owners(302), {"name": "best", "tone": "good"}),
    "/contacts/tags/<int:pk>/merge/": Page(post=owners(302), data={"into": "spare"}),
    "/contacts/tags/<int:pk>/delete/": Page(post=owners(302)),
    "/contacts/audiences/": Page(users(200)),
    "/contacts/audiences/new/": Page(users(200), users(302), {"name": "New", "tags_match": "any"}),
    "/contacts/audiences/count/": Page(post=users(200), data={"name": "New", "tags_match": "any"}),
    "/contacts/audiences/<int:pk>/": Page(users(200), owners(302), {"name": "Best", "tags_match": "any"}),
    "/contacts/audiences/<int:pk>/delete/": Page(post=owners(302)),
    "/contacts/suppression/": Page(users(200), users(302), {"phones": "79161234567"}),
    "/contacts/suppression/export/": Page(users(200)),
    "/contacts/suppression/<int:phone>/": Page(users(200), owners(302), {"sure": "on"}),
    "/contacts/imports/": Page(users(200), users(422)),
    "/contacts/imports/<int:pk>/": Page(owners(200), owners(302), {"column_0": "phone", "policy": "update"}),
    "/contacts/imports/<int:pk>/look/": Page(post=owners(302), data={"encoding": "utf-8", "delimiter": ","}),
    "/contacts/imports/<int:pk>/rows.csv": Page(owners(200)),
    "/contacts/imports/<int:pk>/<slug:action>/": Page(post=owners(302), values={"action": tuple(IMPORT_ACTIONS)}),
    # Campaigns: everyone sees the list, only the owner sees the rest
    "/campaigns/": Page(users(200)),
    "/campaigns/new/": Page(users(200), users(302), composed()),
    "/campaigns/preview/": Page(post=users(200), data=composed()),
    "/campaigns/test/": Page(post=users(200), data={"phone": "79161234567", "text": "A test"}),
    "/campaigns/test/<int:message_pk>/": Page(owners(200, other=404, admin=404)),
    "/campaigns/to/<int:contact_pk>/": Page(users(200)),
    "/campaigns/<int:pk>/": Page(owners(200)),
    "/campaigns/<int:pk>/preview/": Page(post=owners(200), data=composed()),
    "/campaigns/<int:pk>/duplicate/": Page(post=owners(302)),
    "/campaigns/<int:pk>/continue/": Page(post=owners(302)),
    "/campaigns/<int:pk>/edit/": Page(owners(200), owners(302), {"name": "New", "ends_at": NEVER}),
    "/campaigns/<int:pk>/test/": Page(post=owners(200), data={"phone": "79161234567"}),
    "/campaigns/<int:pk>/<slug:action>/": Page(post=owners(302), values={"action": tuple(CAMPAIGN_ACTIONS)}),
    "/campaigns/<int:pk>/messages/<int:message_pk>/": Page(owners(200)),
    "/campaigns/<int:pk>/messages/<int:message_pk>/<slug:action>/": Page(
        post=owners(302), values={"action": tuple(map(str, _RESOLVED))}
    ),
    # Other
    "/api/": Page(anyone(404), anyone(404)),
    "/styleguide/": Page(users(404)),  # in debug mode only
    "/docs/": Page(anyone(200), anyone(200)),
}


# The Django admin: what administrators and superusers may do with each model's rows:
# v view, a add, c change, d delete.
ADMIN_MODELS: Final[dict[str, tuple[str, str]]] = {
    "account/emailaddress": ("v", "vacd"),
    "accounts/apitoken": ("v", "vd"),
    "accounts/signin": ("v", "v"),
    "accounts/user": ("v", "vac"),
    "auditlog/logentry": ("v", "v"),
    "auth/group": ("", "vacd"),
    "campaigns/campaign": ("v", "v"),
    "campaigns/gateway": ("v", "v"),
    "campaigns/message": ("v", "v"),
    "campaigns/run": ("v", "v"),
    "directory/contact": ("v", "v"),
    "directory/tag": ("v", "v"),
    "django_q/failure": ("", "vcd"),
    "django_q/ormq": ("", "vcd"),
    "django_q/schedule": ("", "vacd"),
    "django_q/success": ("", "vcd"),
    "mfa/authenticator": ("v", "vd"),
    "socialaccount/socialaccount": ("v", "vd"),
    "usersessions/usersession": ("v", "v"),
    "webhooks/webhook": ("v", "vd"),
}
ADMIN_VIEWS: Final = {"": "v", "add/": "a", "{id}/": "", "{id}/history/": "v", "{id}/change/": "v", "{id}/delete/": "d"}
ADMIN_PAGES: Final[dict[str, Page]] = {
    "/admin/": Page(staff(200), staff(200)),
    "/admin/login/": Page(staff(302, others=403), staff(200, others=403)),
    "/admin/logout/": Page(anyone(302) | dict.fromkeys(STAFF, 405), anyone(302) | dict.fromkeys(STAFF, 200)),
    "/admin/password_change/": Page(staff(200), staff(200)),
    "/admin/password_change/done/": Page(staff(200), staff(405)),
    "/admin/jsi18n/": Page(staff(200), staff(405)),
    "/admin/autocomplete/": Page(staff(403), staff(405)),
    "/admin/r/<path:content_type_id>/<path:object_id>/": Page(staff(404), staff(404)),
    "/admin/<app_label>/": Page(staff(404), staff(404)),
    "/admin/<url>": Page(staff(404), staff(404)),
}
