"""One line for each record on standard error, in UTC, for whoever collects it."""

import logging
import time
from typing import Any

FORMAT = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s"
TIME_FORMAT = "%Y-%m-%dT%H:%M:%S"


class UtcFormatter(logging.Formatter):
    converter = staticmethod(time.gmtime)


def logging_config(level: str) -> dict[str, Any]:
    """Django's LOGGING. Celery leaves it alone (CELERY_WORKER_HIJACK_ROOT_LOGGER)."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": UtcFormatter, "format": FORMAT, "datefmt": TIME_FORMAT}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
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
        },
    }
