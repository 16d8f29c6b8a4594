"""The pages of the app."""

from django.urls import path, re_path

from reports import command_palette
from reports.analytics import views as report_views
from reports.dashboard import views
from reports.emails import views as email_views

urlpatterns = [
    path("", views.home, name="home"),
    path("find/", command_palette.find, name="find"),
    path("reports/", report_views.reports, name="reports"),
    re_path(r"^reports/campaigns/(?P<pk>[0-9]{1,18})/$", report_views.campaign_report, name="campaign_report"),
    re_path(r"^reports/(?P<what>[a-z-]+)\.(?P<kind>csv|xlsx)$", report_views.report_export, name="report_export"),
    re_path(
        r"^reports/campaigns/(?P<pk>[0-9]{1,18})/(?P<what>[a-z-]+)\.(?P<kind>csv|xlsx)$",
        report_views.campaign_export,
        name="campaign_export",
    ),
    path("reports/email/", email_views.report_email, name="report_email"),
    path("reports/email/body/", email_views.report_email_body, name="report_email_body"),
    path("reports/email/send/", email_views.report_send_me, name="report_send_me"),
    path("reports/email/off/<str:token>/", email_views.report_off, name="report_off"),
]
