"""The environment as typed values. An invalid one stops the start with one clear line instead of a traceback."""

import sys
from datetime import time
from email.utils import parseaddr
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import dj_database_url
import phonenumbers
from babel.numbers import list_currencies
from environs import EnvValidationError, FileAwareEnv, ValidationError, validate

WEB_ADDRESS = validate.URL(require_tld=False, schemes={"http", "https"}, error="Not an http:// or https:// address.")
SMTP_PORTS = {"smtp": 25, "smtps": 465}
MAX_ANSWER = 500


def stop(reason: str) -> NoReturn:
    """End the process. `reason` begins with the variable's name."""
    sys.exit(f"Vestnik can't start: {reason}")


def process_name() -> str:
    """Return the kind of process, as PostgreSQL shows it: `web`, or the command of `manage.py`."""
    program = Path(sys.argv[0]).name
    return sys.argv[1] if program == "manage.py" and len(sys.argv) > 1 else {"gunicorn": "web"}.get(program, program)


def is_local_host(host: str) -> bool:
    """Whether a host is this machine or in a private network: a name without a dot, or a private address."""
    try:
        return ip_address(host.strip("[]")).is_private
    except ValueError:
        return ("." not in host and host != "*") or host.endswith((".localhost", ".local"))


def is_strong(key: str) -> bool:
    """Whether a secret key is strong enough for sessions, by Django's own rule (security.W009)."""
    return len(key) >= 50 and len(set(key)) >= 5 and not key.startswith("django-insecure-")


class Environment(FileAwareEnv):
    """Reads `NAME`, or the file that `NAME_FILE` names. An empty value counts as unset.

    Invalid values are collected while reading; `finish` reports them together.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        super().__init__(eager=False, strip_whitespace=True)
        self.add_parser("database", parse_database)
        self.add_parser("mail", parse_mail)
        self.add_parser("sender", parse_sender)
        self.add_parser("networks", parse_networks)
        self.add_parser("countries", parse_countries)
        self.add_parser("currency", parse_currency)
        self.add_parser("clock_time", parse_clock_time)
        self.add_parser("hours", parse_hours)
        self.add_parser("time_zone", parse_time_zone)
        self.add_parser("answer", parse_answer)

    def _get_value(self, env_key: str, default: Any) -> Any:
        self.names.append(env_key)
        try:
            value = super()._get_value(env_key, default)
        except (OSError, ValueError) as error:
            stop(f"{env_key}_FILE: not a readable text file ({error.__cause__ or error})")
        return default if value == "" else value

    def finish(self) -> None:
        """Stop unless all values are valid."""
        try:
            self.seal()
        except EnvValidationError as error:
            problems = error.error_messages if isinstance(error.error_messages, dict) else {}
            stop("; ".join(f"{name}: {' '.join(map(str, reasons))}" for name, reasons in problems.items()))


def parse_database(url: str) -> dict[str, Any]:
    """Return Django's settings of a database from `postgres://…` or `sqlite:///…`."""
    try:
        supported = urlsplit(url).scheme in {"postgres", "postgresql", "sqlite"}
        database = dict(dj_database_url.parse(url)) if supported else {}
    except ValueError as error:
        raise ValidationError("Not a valid database address.") from error
    if not database.get("NAME"):
        raise ValidationError("Not a postgres://user:password@host:port/name or sqlite:///file address.")
    return database


def parse_mail(url: str) -> dict[str, Any]:
    """Return Django's e-mail settings from `smtp://` (`?tls=1` for STARTTLS), `smtps://` or `file:///folder`."""
    try:
        parts, port = urlsplit(url), urlsplit(url).port
    except ValueError as error:
        raise ValidationError("Not a valid address of a mail server.") from error
    if parts.scheme == "file" and parts.path:
        backend = "django.core.mail.backends.filebased.EmailBackend"
        return {"EMAIL_BACKEND": backend, "EMAIL_FILE_PATH": unquote(parts.path)}
    if parts.scheme not in SMTP_PORTS or not parts.hostname:
        raise ValidationError("Not an smtp://host, smtps://host or file:///folder address.")
    return {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": parts.hostname,
        "EMAIL_PORT": port or SMTP_PORTS[parts.scheme],
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_SSL": parts.scheme == "smtps",
        "EMAIL_USE_TLS": parts.scheme == "smtp" and parts.query == "tls=1",
    }


def parse_sender(value: str) -> str:
    """Check the sender of e-mails: `name@host` or `Name <name@host>`."""
    name, _separator, host = parseaddr(value)[1].rpartition("@")
    if not name or not host or not value.isprintable():
        raise ValidationError("Not a sender, like Vestnik <vestnik@example.org>.")
    return value


def parse_networks(value: str) -> list[IPv4Network | IPv6Network]:
    """Parse addresses and networks, separated by commas."""
    try:
        return [ip_network(item.strip(), strict=False) for item in value.split(",")]
    except ValueError as error:
        raise ValidationError(f"{error}.") from error


def parse_countries(value: str) -> list[str]:
    """Parse ISO 3166 codes, separated by commas, or `*`."""
    codes = [code.strip().upper() for code in value.split(",") if code.strip()]
    unknown = [code for code in codes if code != "*" and code not in phonenumbers.SUPPORTED_REGIONS]
    if unknown or not codes:
        raise ValidationError(f"Not a country: {unknown[0] if unknown else value}.")
    return codes


def parse_currency(value: str) -> str:
    """Check an ISO 4217 code of a currency."""
    code = value.upper()
    if code not in list_currencies():
        raise ValidationError("Not a currency, like RUB.")
    return code


def parse_clock_time(value: str) -> time:
    """Parse a time of day, `HH:MM`."""
    try:
        hours, minutes = value.split(":")
        return time(int(hours), int(minutes))
    except ValueError as error:
        raise ValidationError("Not a time of the day, like 08:00.") from error


def parse_hours(value: str) -> tuple[time, time] | None:
    """Parse two different times of day, `HH:MM-HH:MM`, which may span midnight. Returns None for an empty text."""
    if not value:
        return None
    first, _separator, last = value.partition("-")
    try:
        start, end = parse_clock_time(first.strip()), parse_clock_time(last.strip())
    except ValidationError as error:
        raise ValidationError("Not two times of the day, like 21:00-09:00.") from error
    if start == end:
        raise ValidationError("Must begin and end at different times, like 21:00-09:00.")
    return start, end


def parse_time_zone(name: str) -> str:
    """Check the name of an IANA time zone."""
    try:
        return ZoneInfo(name).key
    except (ValueError, OSError, ZoneInfoNotFoundError) as error:
        raise ValidationError("Not an IANA time zone, like Europe/Moscow.") from error


def parse_answer(text: str) -> str:
    """Check the text of an automatic answer. `none` means no answer, and becomes an empty text."""
    if len(text) > MAX_ANSWER:
        raise ValidationError(f"Too long: at most {MAX_ANSWER} characters.")
    return "" if text.strip().lower() == "none" else text
