"""URLs of the account pages."""

from django.urls import path, re_path

from accounts.profile import views
from accounts.sign_in import external_provider
from accounts.sign_in.email_change import ConfirmAddressView
from accounts.users import views as user_views

app_name = "accounts"
urlpatterns = [
    path("account/", views.profile, name="profile"),
    path("account/deactivate/", views.deactivate, name="deactivate"),
    path("account/sessions/<int:pk>/end/", views.session_end, name="session_end"),
    path("account/tokens/", views.token_create, name="token_create"),
    path("account/tokens/<int:pk>/revoke/", views.token_revoke, name="token_revoke"),
    path("account/tokens/revoke/", views.tokens_revoke, name="tokens_revoke"),
    path("account/password/changed/", views.password_changed, name="password_changed"),
    path("account/data/", views.data, name="data"),
    re_path(r"^accounts/confirm-email/(?P<key>[-:\w]+)/$", ConfirmAddressView.as_view(), name="account_confirm_email"),
    path("accounts/oidc/<provider_id>/login/", external_provider.login),
    path("accounts/oidc/<provider_id>/login/callback/", external_provider.callback),
    path("accounts/invitation/<str:token>/", user_views.invitation, name="invitation"),
    path("users/", user_views.users, name="users"),
    path("users/invite/", user_views.invite, name="invite"),
    path("users/<int:pk>/", user_views.user, name="user"),
    path("users/<int:pk>/<slug:action>/", user_views.user_change, name="user_change"),
]
