"""The pages of the app."""

from django.urls import path

from reports import email_views, views

urlpatterns = [
    path("", views.home, name="home"),
    path("reports/", views.reports, name="reports"),
    path("reports/email/", email_views.report_email, name="report_email"),
    path("reports/email/body/", email_views.report_email_body, name="report_email_body"),
    path("reports/email/send/", email_views.report_send_me, name="report_send_me"),
    path("reports/email/off/<str:token>/", email_views.report_off, name="report_off"),
]
