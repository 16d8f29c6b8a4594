"""The pages of the app."""

from django.urls import path

from directory import views

app_name = "directory"
urlpatterns = [
    path("", views.contacts, name="contacts"),
    path("new/", views.contact_add, name="contact_create"),
    path("<int:pk>/", views.contact, name="contact"),
    path("<int:pk>/edit/", views.contact_edit, name="contact_edit"),
    path("<int:pk>/deactivate/", views.deactivate, name="contact_deactivate"),
    path("<int:pk>/reactivate/", views.reactivate, name="contact_reactivate"),
]
