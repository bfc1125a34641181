"""The Celery app. Postgres is the queue of record; what travels here are doorbells and small chores."""

import os
from pathlib import Path

from celery import Celery
from celery.signals import setup_logging, worker_ready
from kombu.transport import TRANSPORT_ALIASES

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

# By their names: for the address of a Unix socket, Celery heeds no setting that names a transport.
TRANSPORT_ALIASES["redis"] = TRANSPORT_ALIASES["rediss"] = "config.broker:Transport"

app = Celery("signet")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def keep_logging(**_: object) -> None:
    """Django has set logging up as LOGGING says. Where nobody listens here, Celery gives the root logger a level of its
    own (`--loglevel`), and what our code tells at INFO is lost."""


@worker_ready.connect
def tell_supervisor(**_: object) -> None:
    """This worker consumes now; see config/plans.py."""
    if os.environ.get("SIGNET_READY_FILE"):
        Path(os.environ["SIGNET_READY_FILE"]).touch()
