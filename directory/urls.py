"""The pages of the app."""

from django.urls import path, re_path

from directory import views
from directory.imports import views as imports

app_name = "directory"
urlpatterns = [
    path("", views.contacts, name="contacts"),
    path("new/", views.contact_add, name="contact_create"),
    re_path(r"^export\.(?P<kind>csv|xlsx)$", views.contacts_export, name="contacts_export"),
    path("imports/", imports.imports, name="imports"),
    path("imports/<int:pk>/", imports.import_, name="import"),
    path("imports/<int:pk>/look/", imports.import_look, name="import_look"),
    path("imports/<int:pk>/rows.csv", imports.import_rows, name="import_rows"),
    path("imports/<int:pk>/<slug:action>/", imports.import_act, name="import_act"),
    path("<int:pk>/", views.contact, name="contact"),
    path("<int:pk>/edit/", views.contact_edit, name="contact_edit"),
    path("<int:pk>/deactivate/", views.deactivate, name="contact_deactivate"),
    path("<int:pk>/reactivate/", views.reactivate, name="contact_reactivate"),
]
