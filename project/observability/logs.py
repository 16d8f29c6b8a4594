"""Structured logs: one event per line, with ids by which one grep finds everything that belongs together.

Ids are bound where a request, a task or the work on a campaign begins, and are in every line until it ends. Lines never
contain message texts, and phones only masked: by `mask` in our code; in all lines, the values of fields that are named
like phones, and numbers in texts that look like phones. Numbers in other fields are ids, times and amounts, and stay.
"""

import json
import logging
import logging.config
import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

import phonenumbers
import structlog
from django.conf import settings

# `%2B` is a plus in an address.
_WITH_PLUS: Final = r"(?:(?<!\w)\+|%2[Bb])(?P<international>[1-9](?:[ ().\u00a0-]{0,2}[0-9]){6,14})(?![0-9])"
_PLAIN: Final = r"(?<![\w.-])[1-9][0-9]{6,14}(?!\w)"
_NUMBER: Final = re.compile(f"{_WITH_PLUS}|{_PLAIN}")
_OF_PLAN_7: Final = re.compile("7[0-9]{10}")
_PHONE_FIELD: Final = re.compile(r"(?:\w+_)?phones?")
_SHORTEST: Final = 10**6


def mask(phone: int | str) -> str:
    """Mask a phone: `79991234567` → `7999***4567`, enough to recognise but not to contact."""
    digits = str(phone)
    return f"{digits[: min(4, len(digits) - 7)]}***{digits[-4:]}" if len(digits) > 8 else "***"


def mask_phones(text: str) -> str:
    """Mask the numbers in a text that look like phones: with a plus, or as the accepted countries number theirs."""
    return _NUMBER.sub(_masked_number, text)


def _masked_number(match: re.Match[str]) -> str:
    if match["international"]:
        return mask(re.sub("[^0-9]", "", match["international"]))
    return mask(match[0]) if _looks_accepted(match[0]) else match[0]


def _looks_accepted(digits: str) -> bool:
    """Whether it is of the +7 plan, or a valid number of an accepted country."""
    if _OF_PLAN_7.fullmatch(digits):
        return True
    try:
        number = phonenumbers.parse(f"+{digits}")
    except phonenumbers.NumberParseException:
        return False
    accepted = settings.PHONE_COUNTRIES
    return phonenumbers.is_valid_number(number) and (
        "*" in accepted or phonenumbers.region_code_for_number(number) in accepted
    )


def _mask_phones(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Mask the phones of an event."""
    return {name: _masked_value(name, value) for name, value in event.items()}


def _masked_value(name: str, value: Any) -> Any:
    match value:
        case dict():
            return {key: _masked_value(str(key), each) for key, each in value.items()}
        case list() | tuple():
            return [_masked_value(name, each) for each in value]
        case int() | str() if _PHONE_FIELD.fullmatch(name) and not (isinstance(value, int) and value < _SHORTEST):
            return mask(re.sub("[^0-9*]", "", str(value)))
        case int() | float() | None:
            return value
        case _:
            return mask_phones(value if isinstance(value, str) else repr(value))


class Formatter(structlog.stdlib.ProcessorFormatter):
    """Formats one event per line, and passes on the lines of `log_each`."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        return record.getMessage() if hasattr(record, "written") else super().format(record)


def log_each(name: str, event: str, rows: Iterable[dict[str, Any]]) -> None:
    """Log many events of one kind, one line each, much faster than by separate calls."""
    logger = logging.getLogger(name)
    if not logger.isEnabledFor(logging.INFO):
        return
    common = {
        **structlog.contextvars.get_contextvars(),
        "event": event,
        "level": "info",
        "logger": name,
        "timestamp": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",  # noqa: TID251 - logs must not need the database
    }
    if settings.LOG_FORMAT == "json":
        end = ", " + _json.encode(common)[1:]  # serialised once for all lines
        lines = [_json.encode(row)[:-1] + end for row in rows]
    else:
        write = _renderers(settings.LOG_FORMAT)[-1]
        lines = [write(None, "info", {**row, **common}) for row in rows]
    if lines:
        logger.info("\n".join(lines), extra={"written": True})


def configure(options: dict[str, str]) -> None:
    """Django's LOGGING_CONFIG: all loggers, including those of libraries, use one structlog formatter."""
    logging.config.dictConfig(logging_config(options))
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


_SHARED: Final[list[Any]] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
_json = json.JSONEncoder(ensure_ascii=False, default=repr)


def _serialized(event: Any, **_: Any) -> str:
    """Serialise JSON with a reused encoder, unlike `json.dumps`."""
    return _json.encode(event)


def _renderers(form: str) -> list[Any]:
    """Return the processors that render an event. Tracebacks omit local variables, which hold phones and passwords."""
    if form == "json":
        tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        return [
            structlog.processors.ExceptionRenderer(tracebacks),
            _first_lines,
            _mask_phones,
            structlog.processors.JSONRenderer(serializer=_serialized),
        ]
    return [
        structlog.processors.format_exc_info,
        _mask_phones,
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback, sort_keys=False
        ),
    ]


def _first_lines(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Keep only the first line of exceptions, because databases and schemas quote data in the next lines."""
    _shorten(event.get("exception", []))
    return event


def _shorten(exceptions: list[dict[str, Any]]) -> None:
    for exception in exceptions:
        exception["exc_value"] = exception["exc_value"].partition("\n")[0]
        for group in exception["exceptions"]:
            _shorten(group)


def _has_failed(record: logging.LogRecord) -> bool:
    """Whether a record has an exception that is our fault; those that become 403 or 404 are normal answers."""
    return bool(record.exc_info) and record.levelno >= logging.ERROR


def _without_traceback(record: logging.LogRecord) -> bool:
    record.exc_info = None
    return True


def logging_config(options: dict[str, str]) -> dict[str, Any]:
    """Configure the standard library: everything goes to stderr through one formatter. gunicorn uses it, too."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structured": {
                "()": Formatter,
                "foreign_pre_chain": _SHARED,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    *_renderers(options["format"]),
                ],
            }
        },
        "filters": {
            "failed": {"()": "django.utils.log.CallbackFilter", "callback": _has_failed},
            "brief": {"()": "django.utils.log.CallbackFilter", "callback": _without_traceback},
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
        "root": {"handlers": ["stderr"], "level": options["level"]},
        "loggers": {
            # django-q2 writes two lines per task, too many at full speed.
            "django-q": {"level": "WARNING"},
            "django.server": {"level": "WARNING", "handlers": [], "propagate": True},
            # At DEBUG these quote rows and template contexts: password hashes, names, texts.
            "django.db.backends": {"level": "INFO"},
            "django.template": {"level": "INFO"},
            # The request log has one line per request, with status and without secrets in the path.
            "django.request": {"filters": ["failed"]},
            # Network scans and a forgotten ALLOWED_HOSTS cause these; the message suffices.
            "django.security.DisallowedHost": {"filters": ["brief"]},
            # Django has already added its own handlers.
            "django": {"handlers": [], "propagate": True},
            # gunicorn adds its own handler and format.
            "gunicorn.error": {"handlers": [], "propagate": True},
            # At INFO it quotes paths, which may contain one-time keys; the queue warns on each request.
            "waitress": {"level": "WARNING"},
            "waitress.queue": {"level": "ERROR"},
        },
    }
