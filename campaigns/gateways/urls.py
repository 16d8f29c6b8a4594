"""The pages of gateways."""

from django.urls import include, path

from campaigns.gateways import views

app_name = "gateways"
urlpatterns = [
    path("", views.gateways, name="gateways"),
    path("new/", views.gateway_new, name="gateway_new"),
    path("<slug:name>/", views.gateway, name="gateway"),
    path("<slug:name>/test/", views.gateway_test, name="gateway_test"),
    path("<slug:name>/prices/", include("campaigns.prices.urls")),
]
