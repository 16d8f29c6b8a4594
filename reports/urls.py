"""The pages of the app."""

from django.urls import path

from reports import views

urlpatterns = [
    path("", views.home, name="home"),
    path("reports/", views.reports, name="reports"),
]
