"""Bodies in chunks, as gunicorn hands them on: without a length, and with an end."""

from io import BytesIO
from typing import Any

import pytest
from django.core.exceptions import RequestDataTooBig
from django.core.handlers.wsgi import WSGIRequest
from django.test import RequestFactory

from project.chunked import measured

TOO_LARGE = b" " * (8 * 1024 * 1024 + 1)


def received(body: bytes, content_type: str = "application/json") -> WSGIRequest:
    """The request that Django sees."""
    sent: Any = RequestFactory().post("/", content_type=content_type)
    environ = sent.environ | {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    del environ["CONTENT_LENGTH"]
    application = measured(lambda environ, start_response: WSGIRequest(environ))
    request: WSGIRequest = application(environ | {"wsgi.input": BytesIO(body)}, None)
    return request


def test_it_is_read_like_any_other() -> None:
    assert received(b'{"phone": "79991234567"}').body == b'{"phone": "79991234567"}'


def test_one_that_is_too_large_is_refused() -> None:
    with pytest.raises(RequestDataTooBig):
        _ = received(TOO_LARGE).body


def test_a_part_of_a_file_is_not_taken_for_all_of_it() -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
    with pytest.raises(RequestDataTooBig):
        _ = received(head + TOO_LARGE, "multipart/form-data; boundary=x").FILES
