"""How much may be uploaded. Django bounds the fields of a form by itself, but not the files in it."""

from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadhandler import FileUploadHandler


class LimitUploadHandler(FileUploadHandler):
    """Refuses a request (400) that says it is too large, before any of it is kept; the next handlers take the rest."""

    def handle_raw_input(self, input_data: Any, META: Any, content_length: int, *rest: Any, **more: Any) -> None:  # noqa: N803
        """See the class."""
        if content_length > settings.UPLOAD_MAX_SIZE:
            raise RequestDataTooBig("The upload is too large.")

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        """Pass it on."""
        return raw_data

    def file_complete(self, file_size: int) -> None:
        """Leave the file to the next handler."""
