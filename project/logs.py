"""Structured logs: one event a line, with the ids that let one grep tell a whole story.

Ids are bound once, where a request, a task or the work on a campaign begins, and stand in every line until it ends.
Message texts never enter a line, phones only masked: `mask` where we write them, `PHONE` wherever a library does.
"""

import json
import logging
import logging.config
import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from django.conf import settings

PHONE: Final = re.compile(r"(?<![\w.-])7\d{10}(?!\w)")


def mask(phone: int | str) -> str:
    """`79991234567` → `7999***4567`: enough to recognise, not enough to write to."""
    digits = str(phone)
    return f"{digits[:4]}***{digits[-4:]}" if len(digits) > 8 else "***"


class Formatter(structlog.stdlib.ProcessorFormatter):
    """One line an event; what `log_each` has written already passes."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        if hasattr(record, "written"):
            return record.getMessage()
        return PHONE.sub(lambda found: mask(found.group()), super().format(record))


def log_each(name: str, event: str, rows: Iterable[dict[str, Any]]) -> None:
    """Log many events of one kind, each a line as if it had been logged alone, at a fraction of the cost."""
    logger = logging.getLogger(name)
    if not logger.isEnabledFor(logging.INFO):
        return
    same = {
        **structlog.contextvars.get_contextvars(),
        "event": event,
        "level": "info",
        "logger": name,
        "timestamp": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
    }
    if settings.LOG_FORMAT == "json":
        end = ", " + _json.encode(same)[1:]  # the same for all of them, so it is written once
        lines = [_json.encode(row)[:-1] + end for row in rows]
    else:
        write = _renderers(settings.LOG_FORMAT)[-1]
        lines = [write(None, "info", {**row, **same}) for row in rows]
    if lines:
        logger.info("\n".join(lines), extra={"written": True})


def configure(options: dict[str, str]) -> None:
    """Django's LOGGING_CONFIG: every logger, ours and the libraries', through one structlog formatter."""
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
    """JSON by an encoder that is kept, unlike that of `json.dumps`."""
    return _json.encode(event)


def _renderers(form: str) -> list[Any]:
    """What turns an event into text. Tracebacks come without local variables, for those hold phones and passwords."""
    if form == "json":
        tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        return [
            structlog.processors.ExceptionRenderer(tracebacks),
            _brief,
            structlog.processors.JSONRenderer(serializer=_serialized),
        ]
    return [
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback, sort_keys=False
        )
    ]


def _brief(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Of what went wrong the first line: in those below the database quotes rows, and schemas their input."""
    _shorten(event.get("exception", []))
    return event


def _shorten(exceptions: list[dict[str, Any]]) -> None:
    for exception in exceptions:
        exception["exc_value"] = exception["exc_value"].partition("\n")[0]
        for group in exception["exceptions"]:
            _shorten(group)


def _has_failed(record: logging.LogRecord) -> bool:
    """An exception that is our fault: those that become a 403 or a 404 are answers."""
    return bool(record.exc_info) and record.levelno >= logging.ERROR


def _without_traceback(record: logging.LogRecord) -> bool:
    record.exc_info = None
    return True


def logging_config(options: dict[str, str]) -> dict[str, Any]:
    """The standard library's side: everything goes to stderr through one formatter. gunicorn begins with it, too."""
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
            # django-q2 writes two lines a task, and at full speed that drowns everything else.
            "django-q": {"level": "WARNING"},
            "django.server": {"level": "WARNING", "handlers": [], "propagate": True},
            # At DEBUG these quote rows and the contexts of templates: passwords' hashes, names, texts.
            "django.db.backends": {"level": "INFO"},
            "django.template": {"level": "INFO"},
            # Of every request there is one line of ours, with its status and without what is secret in its path.
            "django.request": {"filters": ["failed"]},
            # Whoever scans the network makes these, and so does a forgotten ALLOWED_HOSTS: the sentence tells it all.
            "django.security.DisallowedHost": {"filters": ["brief"]},
            # Django has set up handlers of its own before.
            "django": {"handlers": [], "propagate": True},
            # gunicorn brings a handler and a form of its own.
            "gunicorn.error": {"handlers": [], "propagate": True},
        },
    }
