"""Request bodies in chunks (`Transfer-Encoding: chunked`), as many an HTTP client sends what it does not hold whole."""

from io import BytesIO
from typing import Any, Protocol

from django.conf import settings


class Application(Protocol):
    """What PEP 3333 calls an application."""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any: ...


def measured(application: Application) -> Application:
    """Django reads as much as Content-Length tells, so a body in chunks, which has none, would be empty to it.

    It is read here, as far as the API takes any; a longer one claims to be larger than all that is ever taken.
    """

    def serve(environ: dict[str, Any], start_response: Any) -> Any:
        if environ.get("wsgi.input_terminated") and environ.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked":
            most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
            body = environ["wsgi.input"].read(most + 1)
            environ["CONTENT_LENGTH"] = str(len(body) if len(body) <= most else settings.UPLOAD_MAX_SIZE + 1)
            environ["wsgi.input"] = BytesIO(body)
        return application(environ, start_response)

    return serve
