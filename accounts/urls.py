"""The pages of the app."""

from django.urls import path

from accounts import views

app_name = "accounts"
urlpatterns = [
    path("account/", views.profile, name="profile"),
    path("account/deactivate/", views.deactivate, name="deactivate"),
    path("account/sessions/<int:pk>/end/", views.session_end, name="session_end"),
    path("account/tokens/", views.token_create, name="token_create"),
    path("account/tokens/<int:pk>/revoke/", views.token_revoke, name="token_revoke"),
    path("users/", views.users, name="users"),
    path("users/<int:pk>/<slug:action>/", views.user_change, name="user_change"),
]
