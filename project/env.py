"""The environment as typed values. A bad one ends the start with one clear line, for a traceback would bury it."""

import sys
from datetime import time
from email.utils import parseaddr
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import dj_database_url
from environs import EnvValidationError, FileAwareEnv, ValidationError, validate

WEB_ADDRESS = validate.URL(require_tld=False, schemes={"http", "https"}, error="Not an http:// or https:// address.")
SMTP_PORTS = {"smtp": 25, "smtps": 465}


def stop(reason: str) -> NoReturn:
    """End the process; `reason` names the variable first."""
    sys.exit(f"Vestnik can't start: {reason}")


def is_near(host: str) -> bool:
    """Whether a host is this machine or one of a private network: a name without a dot, or a private address."""
    try:
        return ip_address(host.strip("[]")).is_private
    except ValueError:
        return ("." not in host and host != "*") or host.endswith((".localhost", ".local"))


def is_strong(key: str) -> bool:
    """Whether a secret key may sign sessions: Django's own rule (security.W009)."""
    return len(key) >= 50 and len(set(key)) >= 5 and not key.startswith("django-insecure-")


class Environment(FileAwareEnv):
    """Reads `NAME`, or the file that `NAME_FILE` names. An empty value counts as not set.

    Bad values are gathered while reading; `finish` reports them all at once.
    """

    def __init__(self) -> None:
        super().__init__(eager=False, strip_whitespace=True)
        self.add_parser("database", parse_database)
        self.add_parser("mail", parse_mail)
        self.add_parser("sender", parse_sender)
        self.add_parser("networks", parse_networks)
        self.add_parser("clock_time", parse_clock_time)
        self.add_parser("time_zone", parse_time_zone)

    def _get_value(self, env_key: str, default: Any) -> Any:
        try:
            value = super()._get_value(env_key, default)
        except (OSError, ValueError) as error:
            stop(f"{env_key}_FILE: not a readable text file ({error.__cause__ or error})")
        return default if value == "" else value

    def finish(self) -> None:
        """Stop unless every value that was read is good."""
        try:
            self.seal()
        except EnvValidationError as error:
            problems = error.error_messages if isinstance(error.error_messages, dict) else {}
            stop("; ".join(f"{name}: {' '.join(map(str, reasons))}" for name, reasons in problems.items()))


def parse_database(url: str) -> dict[str, Any]:
    """Django's settings of one database from `postgres://…` or `sqlite:///…`."""
    try:
        known = urlsplit(url).scheme in {"postgres", "postgresql", "sqlite"}
        database = dict(dj_database_url.parse(url)) if known else {}
    except ValueError as error:
        raise ValidationError("Not a valid database address.") from error
    if not database.get("NAME"):
        raise ValidationError("Not a postgres://user:password@host:port/name or sqlite:///file address.")
    return database


def parse_mail(url: str) -> dict[str, Any]:
    """Django's e-mail settings from `smtp://` (`?tls=1` for STARTTLS), `smtps://` (TLS at once) or `file:///folder`."""
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
    """Who letters come from: `name@host` or `Name <name@host>`."""
    name, _at, host = parseaddr(value)[1].rpartition("@")
    if not name or not host or not value.isprintable():
        raise ValidationError("Not a sender, like Vestnik <vestnik@example.org>.")
    return value


def parse_networks(value: str) -> list[IPv4Network | IPv6Network]:
    """Addresses and networks, separated by commas."""
    try:
        return [ip_network(item.strip(), strict=False) for item in value.split(",")]
    except ValueError as error:
        raise ValidationError(f"{error}.") from error


def parse_clock_time(value: str) -> time:
    """A time of the day, `HH:MM`."""
    try:
        hours, minutes = value.split(":")
        return time(int(hours), int(minutes))
    except ValueError as error:
        raise ValidationError("Not a time of the day, like 08:00.") from error


def parse_time_zone(name: str) -> str:
    """The name of a zone that the IANA database has."""
    try:
        return ZoneInfo(name).key
    except (ValueError, OSError, ZoneInfoNotFoundError) as error:
        raise ValidationError("Not an IANA time zone, like Europe/Moscow.") from error
