"""The pages of the app."""

from django.urls import path

from campaigns.pages import budgets, views

app_name = "campaigns"
urlpatterns = [
    path("", views.campaigns, name="campaigns"),
    path("new/", views.campaign_create, name="campaign_create"),
    path("preview/", views.preview, name="preview"),
    path("test/", views.send_test, name="send_test"),
    path("test/<int:message_pk>/", views.test_sent, name="test_sent"),
    path("to/<int:contact_pk>/", views.contact_messages, name="contact_messages"),
    path("<int:pk>/", views.campaign, name="campaign"),
    path("<int:pk>/preview/", views.preview, name="preview"),
    path("<int:pk>/duplicate/", views.campaign_duplicate, name="campaign_duplicate"),
    path("<int:pk>/edit/", views.campaign_edit, name="campaign_edit"),
    path("<int:pk>/messages/<int:message_pk>/", views.message, name="message"),
    path("<int:pk>/messages/<int:message_pk>/<slug:action>/", views.message_act, name="message_act"),
    path("<int:pk>/test/", views.send_test, name="send_test"),
    path("<int:pk>/continue/", budgets.campaign_continue, name="campaign_continue"),
    path("<int:pk>/<slug:action>/", views.campaign_act, name="campaign_act"),
]
