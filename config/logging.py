"""One line for each record on standard error, in UTC, for whoever collects it. Secrets and payloads are left out."""

import logging
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from config.redaction import HIDDEN, scrub, told, told_whole

FORMAT = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s"
TIME_FORMAT = "%Y-%m-%dT%H:%M:%S"
QUOTING = (
    "Received unregistered task",
    "Received invalid task message",
    "Received and deleted unknown message",
    "Can't decode message body",
)
# Celery's complaints about what lies on the broker; they quote it whole.

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class UtcFormatter(logging.Formatter):
    """Needs `config.redaction` for whatever may hold a value."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        """On a copy: a text that is kept at the record would be another handler's, too."""
        copied = logging.makeLogRecord(record.__dict__)
        copied.msg, copied.args, copied.exc_text = _message(record), (), None
        return super().format(copied)

    def formatException(self, ei: ExcInfo) -> str:  # noqa: N802 - the name is logging's
        return "" if ei[1] is None else told_whole(ei[1], ei[2])


class StderrHandler(logging.StreamHandler[Any]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """Python's own prints the record's arguments."""
        sys.stderr.write(f"a record of {record.name} could not be written: {type(sys.exc_info()[1]).__name__}\n")


def _message(record: logging.LogRecord) -> str:
    template = str(record.msg)
    if template.startswith(QUOTING):
        return template.splitlines()[0].partition("%")[0].rstrip(" :[") + f" {HIDDEN}"
    if isinstance(record.args, Mapping) and "exc" in record.args:
        return scrub(template % {**record.args, "exc": _failure(record)})
    return scrub(record.getMessage())


def _failure(record: logging.LogRecord) -> str:
    """Celery puts the exception's own text into the message of a failed task."""
    error = record.exc_info[1] if record.exc_info else None
    return told(error) if error else HIDDEN


def logging_config(level: str) -> dict[str, Any]:
    """Django's LOGGING. Celery leaves it alone (CELERY_WORKER_HIJACK_ROOT_LOGGER)."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": UtcFormatter, "format": FORMAT, "datefmt": TIME_FORMAT}},
        "handlers": {"stderr": {"()": StderrHandler, "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # Only through the root: Django would print errors a second time.
            "django": {"handlers": [], "level": level, "propagate": True},
            "django.server": {"handlers": [], "level": level, "propagate": True},
            # A line for each task and each probe would drown the rest at thousands a second.
            "celery.app.trace": {"level": "WARNING"},
            "celery.worker.strategy": {"level": "WARNING"},
            "celery.beat": {"level": "WARNING"},
            "django.request": {"level": "ERROR"},
            # Anybody can send a wrong Host; the answer says so, and a traceback for each would fill the disk.
            "django.security.DisallowedHost": {"level": "CRITICAL"},
            # What they tell at DEBUG is statements with their values, messages and URLs with what stands in them.
            **{name: {"level": _at_least_info(level)} for name in TALKATIVE},
        },
    }


TALKATIVE = ("django.db.backends", "django.template", "amqp", "kombu", "celery", "redis", "urllib3", "requests")


def _at_least_info(level: str) -> str:
    return "INFO" if level == "DEBUG" else level
