"""An SMTP server on loopback with typical faults."""

import email.policy
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope, Session
from pytest_django import Settings


class Mailbox:
    """The e-mails that the server accepted. `refusals` are its next answers to DATA, `rejections` to recipients."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.accepted: list[EmailMessage] = []
        self.refusals: list[str] = []
        self.rejections: list[str] = []

    async def handle_RCPT(  # noqa: N802 — aiosmtpd's name
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Accept or refuse the recipient."""
        if self.rejections:
            return self.rejections.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Accept or refuse the e-mail."""
        if self.refusals:
            return self.refusals.pop(0)
        assert isinstance(envelope.content, bytes)
        mail = BytesParser(policy=email.policy.default).parsebytes(envelope.content)
        assert isinstance(mail, EmailMessage)
        assert envelope.rcpt_tos == [mail["To"]]
        self.accepted.append(mail)
        return "250 OK"

    @property
    def readers(self) -> list[str]:
        """The recipients of the accepted e-mails."""
        return [str(mail["To"]) for mail in self.accepted]


def part(mail: EmailMessage, kind: str) -> str:
    """The e-mail's `plain` or `html` part."""
    body = mail.get_body((kind,))
    assert body is not None
    return str(body.get_content())


@contextmanager
def running_mailbox(settings: Settings) -> Iterator[Mailbox]:
    """Run the server, and set the settings to use it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mailbox = Mailbox(port)
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()
