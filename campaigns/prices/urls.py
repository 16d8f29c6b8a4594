"""The pages of a gateway's prices, below `/gateways/<name>/prices/`."""

from django.urls import path

from campaigns.prices import views

urlpatterns = [
    path("", views.prices, name="prices"),
    path("import/", views.prices_import, name="prices_import"),
    path("export/", views.prices_export, name="prices_export"),
    path("<int:pk>/delete/", views.price_delete, name="price_delete"),
]
