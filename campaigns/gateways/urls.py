"""The pages of gateways."""

from django.urls import include, path

from campaigns.gateways import views

app_name = "gateways"
urlpatterns = [
    path("", views.gateways, name="gateways"),
    path("new/", views.gateway_new, name="gateway_new"),
    path("<slug:name>/", views.gateway, name="gateway"),
    *(
        path(f"<slug:name>/{action}/", views.gateway_try, {"action": action}, name=f"gateway_{action}")
        for action in ("check", "send", "sample")
    ),
    path("<slug:name>/prices/", include("campaigns.prices.urls")),
]
