"""The pages of the app."""

from django.urls import path, re_path

from reports import email_views, finding, views

urlpatterns = [
    path("", views.home, name="home"),
    path("find/", finding.find, name="find"),
    path("reports/", views.reports, name="reports"),
    re_path(r"^reports/(?P<what>campaigns|days)\.(?P<kind>csv|xlsx)$", views.report_export, name="report_export"),
    re_path(
        r"^reports/campaigns/(?P<pk>[0-9]{1,18})/messages\.(?P<kind>csv|xlsx)$",
        views.messages_export,
        name="messages_export",
    ),
    path("reports/email/", email_views.report_email, name="report_email"),
    path("reports/email/body/", email_views.report_email_body, name="report_email_body"),
    path("reports/email/send/", email_views.report_send_me, name="report_send_me"),
    path("reports/email/off/<str:token>/", email_views.report_off, name="report_off"),
]
