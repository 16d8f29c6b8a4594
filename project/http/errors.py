"""Errors that views and API operations raise. Each is mapped to its HTTP status in one place."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest


class Conflict(Exception):
    """The state of the object, or another object, forbids the action (HTTP 409)."""


class TooManyRequests(Exception):
    """A rate limit is exceeded. The client may try again after `retry_after` seconds (HTTP 429)."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("Too many requests.")
        self.retry_after = retry_after


class Invalid(Exception):
    """A part of the request outside all schemas is invalid (HTTP 422). `place` is as in a schema's errors."""

    def __init__(self, place: list[str | int], reason: str) -> None:
        super().__init__(reason)
        self.place = place


@contextmanager
def show_refusal(request: HttpRequest) -> Iterator[None]:
    """Run an action of a page. If the rules refuse it, show the reason on the next page."""
    try:
        yield
    except Conflict as error:
        messages.error(request, str(error))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
