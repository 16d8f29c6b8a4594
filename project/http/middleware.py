"""Middleware: errors as JSON, HEAD requests, and a page for methods that are not allowed."""

import json
from collections.abc import Callable
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string


class JsonErrorsMiddleware:
    """Under `/api/`, return every error as JSON, also those that Django raises outside the API (405, invalid host).

    Adds the authentication scheme to each 401, as HTTP requires.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code < 400 or not request.path.startswith("/api/"):
            return response
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            # Some gateways send their password only after this challenge.
            gateway = request.path.startswith("/api/v1/callbacks/")
            response.headers["WWW-Authenticate"] = 'Basic realm="callbacks"' if gateway else "Bearer"
        if response.headers.get("Content-Type", "").startswith("application/json"):
            return response
        response.content = json.dumps({"detail": f"{HTTPStatus(response.status_code).phrase}."})
        response.headers["Content-Type"] = "application/json"
        response.headers["Content-Length"] = str(len(response.content))
        return response


class HeadMiddleware:
    """Under `/api/`, answer HEAD like GET without body, except for callbacks, whose GET has effects."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method != "HEAD" or not request.path.startswith("/api/") or "/callbacks/" in request.path:
            return self.get_response(request)
        request.method = "GET"
        response = self.get_response(request)
        request.method = "HEAD"
        return response


class MethodNotAllowedPageMiddleware:
    """Show a page for 405 where a browser opens the URL of a button; Django's own answer is empty."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code == HTTPStatus.METHOD_NOT_ALLOWED and not request.path.startswith("/api/"):
            response.content = render_to_string("405.html", request=request).encode()
        return response
