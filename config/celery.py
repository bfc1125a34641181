"""The Celery app. Postgres is the queue of record; what travels here are doorbells and small chores."""

import os
from pathlib import Path

from celery import Celery
from celery.signals import worker_ready

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("signet")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_ready.connect
def tell_supervisor(**_: object) -> None:
    """This worker consumes now; see config/plans.py."""
    if os.environ.get("SIGNET_READY_FILE"):
        Path(os.environ["SIGNET_READY_FILE"]).touch()
