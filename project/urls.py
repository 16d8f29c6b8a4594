"""All URLs of the program, except the probes in `project.observability.health`."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path, re_path
from django.views.decorators.csrf import csrf_exempt
from ninja.openapi.docs import Swagger

from project.api import api
from project.styleguide import styleguide


def docs(request: HttpRequest) -> HttpResponse:
    """Swagger UI, with files from our own server."""
    return Swagger({"persistAuthorization": True}).render_page(request, api)


@csrf_exempt
def unknown_call(request: HttpRequest) -> JsonResponse:
    """Answer unknown URLs of the API with JSON instead of a page."""
    return JsonResponse({"detail": "No such call: see /docs/."}, status=404)


urlpatterns = [
    path("", include("reports.urls")),
    path("", include("accounts.urls")),
    path("account/webhooks/", include("accounts.webhooks.urls")),
    path("accounts/", include("allauth.urls")),
    path("i18n/", include("django.conf.urls.i18n")),
    path("contacts/", include("directory.urls")),
    path("campaigns/", include("campaigns.urls")),
    path("gateways/", include("campaigns.gateways.urls")),
    path("api/v1/", api.urls),
    re_path("^api/", unknown_call, name="unknown_call"),
    path("docs/", docs, name="docs"),
    path("styleguide/", styleguide, name="styleguide"),
    path("admin/", admin.site.urls),
]

handler500 = "project.http.failure_pages.failed"
