"""URLs of the directory pages."""

from django.urls import path, re_path

from directory.audiences import views as audience_views
from directory.bulk_actions import views as bulk_views
from directory.contacts import views
from directory.imports import views as imports
from directory.suppression import views as suppression_views
from directory.tags import views as tag_views

app_name = "directory"
urlpatterns = [
    path("", views.contacts, name="contacts"),
    path("bulk/", bulk_views.bulk, name="bulk"),
    path("bulk/begin/", bulk_views.bulk_begin, name="bulk_begin"),
    path("bulk/<int:pk>/", bulk_views.bulk_action, name="bulk_action"),
    path("new/", views.contact_add, name="contact_create"),
    path("tags/", tag_views.tags, name="tags"),
    path("tags/<int:pk>/", tag_views.tag, name="tag"),
    path("tags/<int:pk>/merge/", tag_views.tag_merge, name="tag_merge"),
    path("tags/<int:pk>/delete/", tag_views.tag_delete, name="tag_delete"),
    path("audiences/", audience_views.audiences, name="audiences"),
    path("audiences/new/", audience_views.audience, name="audience_create"),
    path("audiences/count/", audience_views.audience_count, name="audience_count"),
    path("audiences/<int:pk>/", audience_views.audience, name="audience"),
    path("audiences/<int:pk>/delete/", audience_views.delete, name="audience_delete"),
    path("suppression/", suppression_views.suppression, name="suppression"),
    path("suppression/export/", suppression_views.suppression_export, name="suppression_export"),
    path("suppression/<int:phone>/", suppression_views.suppression_remove, name="suppression_remove"),
    re_path(r"^export\.(?P<kind>csv|xlsx)$", views.contacts_export, name="contacts_export"),
    path("imports/", imports.imports, name="imports"),
    path("imports/<int:pk>/", imports.import_, name="import"),
    path("imports/<int:pk>/look/", imports.import_format, name="import_format"),
    path("imports/<int:pk>/rows.csv", imports.import_rows, name="import_rows"),
    path("imports/<int:pk>/<slug:action>/", imports.import_act, name="import_act"),
    path("<int:pk>/", views.contact, name="contact"),
    path("<int:pk>/edit/", views.contact_edit, name="contact_edit"),
    path("<int:pk>/erase/", views.erase, name="contact_erase"),
    path("<int:pk>/deactivate/", views.deactivate, name="contact_deactivate"),
    path("<int:pk>/reactivate/", views.reactivate, name="contact_reactivate"),
]
