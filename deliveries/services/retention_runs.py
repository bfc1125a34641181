"""Retention at an operator's request: in the background, a slice of time after the other, and written down."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from celery import current_app
from django.conf import settings
from django.db import transaction
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from deliveries.services import merchant_retention
from deliveries.services.retention import Deleted, purge
from subscriptions.errors import Conflict
from subscriptions.services import audit
from subscriptions.services.bell import IMPATIENT

RUN = "deliveries.run_retention"
# The task, by its name: services never import tasks.
TARGET = "log"
ASKED, FINISHED = "retention.asked", "retention.finished"
SLICE_S = 20.0
# The few workers for chores have others to do: after this it stands at the end of their queue again.


def cut_off(*, now: datetime) -> datetime:
    """How far back the log is kept."""
    return now - timedelta(days=settings.RETENTION_DAYS)


def first_day_kept(*, now: datetime) -> datetime:
    """Midnight (UTC): what was published before this goes, a whole day at a time."""
    return cut_off(now=now).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


@transaction.atomic
def ask(*, actor: str, now: datetime) -> None:
    """Have a worker delete what is older than it may be. Raises Conflict when no worker could be told: then nothing
    was asked for, and nothing is written down."""
    before = cut_off(now=now)
    audit.note(actor=actor, action=ASKED, target=TARGET, detail={"before": before.isoformat()}, now=now)
    send(Deleted(), before=before, actor=actor)


def send(so_far: Deleted, *, before: datetime, actor: str) -> None:
    """Queue a slice. What it tells of what was deleted already is for the entry at the end."""
    arguments = {"so_far": asdict(so_far), "before": before.isoformat(), "actor": actor}
    try:
        with current_app.connection_for_write(transport_options=IMPATIENT) as connection:
            current_app.send_task(RUN, kwargs=arguments, connection=connection, ignore_result=True, retry=False)
    except (OperationalError, RedisError, OSError) as trouble:
        raise Conflict("No worker could be told. Try again shortly.", code="unavailable") from trouble


def run_slice(so_far: Deleted, *, before: datetime, actor: str, clock: Callable[[], datetime]) -> tuple[Deleted, bool]:
    """Delete for a slice of time. What is deleted by now, and whether that is all; the end is written down."""
    deadline = time.monotonic() + SLICE_S
    for step in _steps(before=before, now=clock()):
        so_far += step
        if time.monotonic() >= deadline:
            return so_far, False
    audit.note(actor=actor, action=FINISHED, target=TARGET, detail=asdict(so_far), now=clock())
    return so_far, True


def _steps(*, before: datetime, now: datetime) -> Iterator[Deleted]:
    """Everybody's log, then what merchants keep for a shorter time."""
    yield from purge(before=before, now=now)
    for purged in merchant_retention.purge(now=now):
        yield Deleted(events=purged.events, deliveries=purged.deliveries, attempts=purged.attempts)
