"""Hand mails to the mail server so that one always knows whether it may have taken them.

SMTP has no second chance: a mail that was accepted can't be taken back, and the same mail again is another mail. So the
envelope goes first, which commits nobody to anything; only then is it written down that the mail goes out.
"""

import smtplib
from collections.abc import Callable
from typing import Any, Final

from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends import smtp
from django.core.mail.message import sanitize_address

_ACCEPTED: Final = (250, 251)


class NotTaken(Exception):
    """The mail was certainly not accepted."""


class Unreachable(NotTaken):
    """No mail can be handed over at present."""


class Uncertain(Exception):
    """The mail may have been accepted, and nobody can tell."""


class Post:
    """One conversation with the mail server, begun when a mail needs it. Backends that write files have none."""

    def __init__(self) -> None:
        self.connection: Any = get_connection()

    def __enter__(self) -> "Post":
        return self

    def __exit__(self, *error: object) -> None:
        self.connection.close()

    def hand_over(self, mail: EmailMessage, going_out: Callable[[], None] = lambda: None) -> None:
        """Send one mail to one recipient; `going_out` is called just before the server may accept it.

        Raises NotTaken, Unreachable or Uncertain, and whatever `going_out` raises.
        """
        if not isinstance(self.connection, smtp.EmailBackend):
            going_out()
            get_connection().send_messages([mail])
            return
        session = self._session()
        try:
            _envelope(session, mail)
        except OSError as error:
            self.connection.close()
            raise NotTaken(words(error)) from error
        going_out()
        self._body(session, mail)

    def _session(self) -> smtplib.SMTP:
        try:
            self.connection.open()
        except OSError as error:
            raise Unreachable(words(error)) from error
        session: smtplib.SMTP = self.connection.connection
        return session

    def _body(self, session: smtplib.SMTP, mail: EmailMessage) -> None:
        message: Any = mail.message()  # Django's takes the end of a line, the stubs' does not
        content = message.as_bytes(linesep="\r\n")
        try:
            code, answer = session.data(content)
        except smtplib.SMTPDataError as error:  # the server did not even begin to listen
            self.connection.close()
            raise NotTaken(words(error)) from error
        except OSError as error:
            self.connection.close()
            raise Uncertain(words(error)) from error
        if code not in _ACCEPTED:
            self.connection.close()
            raise NotTaken(words(smtplib.SMTPDataError(code, answer)))


def _envelope(session: smtplib.SMTP, mail: EmailMessage) -> None:
    """Sender and recipient; raises smtplib's errors."""
    sender = sanitize_address(mail.from_email, mail.encoding or "utf-8")
    (recipient,) = (sanitize_address(address, mail.encoding or "utf-8") for address in mail.recipients())
    session.ehlo_or_helo_if_needed()
    code, answer = session.mail(sender)
    if code not in _ACCEPTED:
        raise smtplib.SMTPSenderRefused(code, answer, sender)
    code, answer = session.rcpt(recipient)
    if code not in _ACCEPTED:
        raise smtplib.SMTPResponseException(code, answer)


def words(error: OSError) -> str:
    """What the server or the network said, without addresses of ours."""
    if isinstance(error, smtplib.SMTPResponseException):
        answer = error.smtp_error
        said = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
        return f"{error.smtp_code} {said}"[:200]
    return (str(error) or type(error).__name__)[:200]
