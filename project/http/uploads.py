"""The size limit of uploads. Django limits the fields of a form, but not its files."""

from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadhandler import FileUploadHandler


class LimitUploadHandler(FileUploadHandler):
    """Refuses a request (400) whose declared size is too large, before storing any of it."""

    def handle_raw_input(self, input_data: Any, META: Any, content_length: int, *rest: Any, **more: Any) -> None:  # noqa: N803
        """Check the declared size."""
        if content_length > settings.UPLOAD_MAX_SIZE:
            raise RequestDataTooBig("The upload is too large.")

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        """Pass the data to the next handler."""
        return raw_data

    def file_complete(self, file_size: int) -> None:
        """Leave the file to the next handler."""
