"""The pages of the app."""

from django.urls import path

from accounts import external, user_views, views

app_name = "accounts"
urlpatterns = [
    path("account/", views.profile, name="profile"),
    path("account/deactivate/", views.deactivate, name="deactivate"),
    path("account/sessions/<int:pk>/end/", views.session_end, name="session_end"),
    path("account/tokens/", views.token_create, name="token_create"),
    path("account/tokens/<int:pk>/revoke/", views.token_revoke, name="token_revoke"),
    path("account/data/", views.data, name="data"),
    path("accounts/oidc/<provider_id>/login/", external.login),
    path("accounts/invitation/<str:token>/", user_views.invitation, name="invitation"),
    path("users/", user_views.users, name="users"),
    path("users/invite/", user_views.invite, name="invite"),
    path("users/<int:pk>/", user_views.user, name="user"),
    path("users/<int:pk>/<slug:action>/", user_views.user_change, name="user_change"),
]
