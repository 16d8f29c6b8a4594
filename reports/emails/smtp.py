"""Send e-mails such that the caller always knows whether the server may have accepted them.

SMTP is not idempotent: an accepted e-mail can't be recalled, and sending it again makes a duplicate. So the envelope is
sent first, which has no effect yet; only then does the caller record that the e-mail is handed over.
"""

import smtplib
from collections.abc import Callable
from typing import Any, Final

from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends import smtp
from django.core.mail.message import sanitize_address

_ACCEPTED: Final = (250, 251)


class NotAccepted(Exception):
    """The e-mail was certainly not accepted."""


class Unreachable(NotAccepted):
    """The mail server can't be reached."""


class Uncertain(Exception):
    """The e-mail may or may not have been accepted."""


class SmtpSession:
    """A lazy connection to the mail server. Backends that write files need none."""

    def __init__(self) -> None:
        self.connection: Any = get_connection()

    def __enter__(self) -> "SmtpSession":
        return self

    def __exit__(self, *error: object) -> None:
        self.connection.close()

    def send(self, mail: EmailMessage, before_data: Callable[[], None] = lambda: None) -> None:
        """Send an e-mail to one recipient; `before_data` is called just before the server may accept it.

        Raises NotAccepted, Unreachable or Uncertain, and any exception of `before_data`.
        """
        if not isinstance(self.connection, smtp.EmailBackend):
            before_data()
            get_connection().send_messages([mail])
            return
        session = self._open()
        try:
            _send_envelope(session, mail)
        except OSError as error:
            self.connection.close()
            raise NotAccepted(error_text(error)) from error
        before_data()
        self._send_data(session, mail)

    def _open(self) -> smtplib.SMTP:
        try:
            self.connection.open()
        except OSError as error:
            raise Unreachable(error_text(error)) from error
        session: smtplib.SMTP = self.connection.connection
        return session

    def _send_data(self, session: smtplib.SMTP, mail: EmailMessage) -> None:
        message: Any = mail.message()  # Django's method has `linesep`, the stubs' does not
        content = message.as_bytes(linesep="\r\n")
        try:
            code, answer = session.data(content)
        except smtplib.SMTPDataError as error:  # the server refused DATA before the content
            self.connection.close()
            raise NotAccepted(error_text(error)) from error
        except OSError as error:
            self.connection.close()
            raise Uncertain(error_text(error)) from error
        if code not in _ACCEPTED:
            self.connection.close()
            raise NotAccepted(error_text(smtplib.SMTPDataError(code, answer)))


def _send_envelope(session: smtplib.SMTP, mail: EmailMessage) -> None:
    """Send sender and recipient; raises smtplib's errors."""
    sender = sanitize_address(mail.from_email, mail.encoding or "utf-8")
    (recipient,) = (sanitize_address(address, mail.encoding or "utf-8") for address in mail.recipients())
    session.ehlo_or_helo_if_needed()
    code, answer = session.mail(sender)
    if code not in _ACCEPTED:
        raise smtplib.SMTPSenderRefused(code, answer, sender)
    code, answer = session.rcpt(recipient)
    if code not in _ACCEPTED:
        raise smtplib.SMTPResponseException(code, answer)


def error_text(error: OSError) -> str:
    """The error of the server or network, without our addresses."""
    if isinstance(error, smtplib.SMTPResponseException):
        answer = error.smtp_error
        text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
        return f"{error.smtp_code} {text}"[:200]
    return (str(error) or type(error).__name__)[:200]
