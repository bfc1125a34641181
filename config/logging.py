"""One record, one line on standard error, in UTC, for whoever collects it: JSON, or text for people. Secrets and
payloads are left out of both.

Code logs with the standard library, ids and numbers in `extra`; the fields of the request or task at hand come by
structlog's context. structlog's ProcessorFormatter makes a line of all of it.
"""

import logging
import os
import sys
import time
from collections.abc import Mapping, MutableMapping
from types import TracebackType
from typing import Any

import structlog
from structlog.stdlib import ProcessorFormatter

from config.api.request_id import current_request_id
from config.redaction import HIDDEN, scrub, told, told_whole

FORMAT = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s"
TIME_FORMAT = "%Y-%m-%dT%H:%M:%S"
FORMATS = ("json", "line")
QUOTING = (
    "Received unregistered task",
    "Received invalid task message",
    "Received and deleted unknown message",
    "Can't decode message body",
)
# Celery's complaints about what lies on the broker; they quote it whole.
STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
# What every record has. Everything else came as `extra`.

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
Fields = MutableMapping[str, Any]


class UtcFormatter(logging.Formatter):
    """Text. Needs `config.redaction` for whatever may hold a value."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        """On a copy: a text that is kept at the record would be another handler's, too."""
        copied = logging.makeLogRecord(record.__dict__)
        copied.msg, copied.args, copied.exc_text = _message(record) + _trailer(record), (), None
        return super().format(copied)

    def formatException(self, ei: ExcInfo) -> str:  # noqa: N802 - the name is logging's
        return "" if ei[1] is None else told_whole(ei[1], ei[2])


class JsonFormatter(ProcessorFormatter):
    """The same as one JSON object a line: time, level, logger, message, process, ids and numbers, exception."""

    def __init__(self) -> None:
        super().__init__(
            processors=[
                _described,
                self.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
            use_get_message=False,
        )

    def format(self, record: logging.LogRecord) -> str:
        """The message is made here, before the parent could look at its arguments."""
        copied = logging.makeLogRecord(record.__dict__)
        copied.msg, copied.args = _message(record), ()
        return super().format(copied)


class StderrHandler(logging.StreamHandler[Any]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """Python's own prints the record's arguments."""
        sys.stderr.write(f"a record of {record.name} could not be written: {type(sys.exc_info()[1]).__name__}\n")


def _described(_logger: Any, _method: str, fields: Fields) -> Fields:
    """structlog's fields of a record, as we name and order them."""
    record: logging.LogRecord = fields["_record"]
    moment = time.strftime(TIME_FORMAT, time.gmtime(record.created))
    described: Fields = {
        "time": f"{moment}.{int(record.msecs):03d}Z",
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": fields["event"],
        "process": os.environ.get("SIGNET_ROLE") or "command",
        "pid": record.process,
        **_extras(record),
        "_record": record,
        "_from_structlog": fields["_from_structlog"],
    }
    error = fields.get("exc_info")
    if error and error[1] is not None:
        described["error"], described["traceback"] = told(error[1]), told_whole(error[1], error[2])
    return described


def _trailer(record: logging.LogRecord) -> str:
    return "".join(f" {name}={value}" for name, value in _extras(record).items() if value is not None)


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    """Ids and numbers, of the record and of what the process is about. Objects may hold anything, so they stay out."""
    found = {"request_id": current_request_id() or None, **structlog.contextvars.get_contextvars()}
    found |= {name: value for name, value in record.__dict__.items() if name not in STANDARD}
    return {
        name: scrub(value) if isinstance(value, str) else value
        for name, value in found.items()
        if value is not None and isinstance(value, str | int | float) and not _is_telling(name)
    }


def _is_telling(name: str) -> bool:
    """Whether a field of this name is a secret or a payload, whatever its value looks like."""
    return name.startswith("_") or scrub(f"{name}=x") != f"{name}=x" or name in ("payload", "body")


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


def logging_config(level: str, form: str = "line") -> dict[str, Any]:
    """Django's LOGGING. Celery leaves it alone (CELERY_WORKER_HIJACK_ROOT_LOGGER)."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {"()": UtcFormatter, "format": FORMAT, "datefmt": TIME_FORMAT},
            "json": {"()": JsonFormatter},
        },
        "handlers": {"stderr": {"()": StderrHandler, "formatter": form}},
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
