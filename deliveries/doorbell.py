"""Tells the drains that there is work. It may fail: then the work leaves a little later, and nothing is lost.

1. Mark the lanes due in Postgres, after the publish is committed.
2. Make sure that one `drain` task is queued. Rings coalesce behind a Redis key that the drain clears before it claims.

A dead or frozen Redis costs one short timeout; after that the bell stays silent for a second and beat's tick does.
"""

import logging
import threading
import time
from collections.abc import Iterable
from uuid import UUID

import redis
from celery import current_app
from django.conf import settings
from django.db import Error
from kombu import Connection

from deliveries import metrics
from subscriptions import kept_plans
from subscriptions.killpoints import reached

logger = logging.getLogger(__name__)

DRAIN_TASK = "deliveries.drain"
BELL_KEY = "signet:bell"
STARTED_KEY = "signet:drains-started"
BELL_LIFE_MS = 5_000
# If the message behind the key is lost, the next ring after this queues another; beat's tick comes sooner still.
REDIS_TIMEOUT_S = 0.3
# A healthy Redis answers within a millisecond; a publish may wait this long for a sick one.
SILENCE_S = 1.0
IMPATIENT = {"socket_timeout": REDIS_TIMEOUT_S, "socket_connect_timeout": REDIS_TIMEOUT_S, "max_retries": 0}

MARK_DUE = "SELECT signet_mark_due(%s::uuid[])"
# A function whose plan is kept: migration 0006. Planned anew each time it took twice as long.


class Doorbell:
    """One process's bell: a Redis client with short timeouts and the memory of when Redis last failed."""

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(
            url,
            socket_timeout=REDIS_TIMEOUT_S,
            socket_connect_timeout=REDIS_TIMEOUT_S,
            retry_on_timeout=False,
            retry=None,
        )
        self._broker = threading.local()
        self._silent_until = 0.0
        self.failures = 0

    def ring(self) -> bool:
        """Queue a drain unless one is queued already. False if Redis could not be asked."""
        if time.monotonic() < self._silent_until:
            return False
        try:
            is_first = self._redis.set(BELL_KEY, b"1", nx=True, px=BELL_LIFE_MS)
            if is_first:
                reached("bell.set")
                current_app.send_task(
                    DRAIN_TASK, queue="drain", ignore_result=True, retry=False, connection=self._broker_connection()
                )
        except Exception as error:  # noqa: BLE001 - whatever the broker's client raises, a publish goes on
            self._fail(error)
            return False
        metrics.RINGS.labels("queued" if is_first else "coalesced").inc()
        return True

    def answer(self) -> None:
        """A drain has come: the next ring shall queue another. Called before it claims."""
        try:
            with self._redis.pipeline(transaction=False) as pipe:
                pipe.delete(BELL_KEY)
                pipe.incr(STARTED_KEY)
                pipe.execute()
        except redis.RedisError as error:
            self._fail(error)

    def drains_started(self) -> int:
        """How many drains have ever answered; -1 if Redis could not be asked."""
        try:
            return int(self._redis.get(STARTED_KEY) or 0)
        except redis.RedisError as error:
            self._fail(error)
            return -1

    def _broker_connection(self) -> Connection:
        """Celery's own pool waits for seconds and connects again and again; a doorbell gives up at once."""
        if not hasattr(self._broker, "connection"):
            self._broker.connection = current_app.connection_for_write(transport_options=IMPATIENT)
        connection: Connection = self._broker.connection
        return connection

    def _fail(self, error: Exception) -> None:
        self.failures += 1
        metrics.DOORBELL_FAILURES.inc()
        broken: Connection | None = self._broker.__dict__.pop("connection", None)
        if broken is not None:
            broken.release()
        self._silent_until = time.monotonic() + SILENCE_S
        logger.warning("doorbell failed: %s", type(error).__name__)


_bell: Doorbell | None = None


def bell() -> Doorbell:
    """This process's doorbell."""
    global _bell  # noqa: PLW0603 - one connection pool a process
    if _bell is None:
        _bell = Doorbell(settings.REDIS_URL)
    return _bell


def wake(endpoint_ids: Iterable[UUID]) -> None:
    """Mark lanes due and ring. Never raises: the sweep finds what this could not mark."""
    reached("wake.committed")
    try:
        kept_plans.fetch_one(MARK_DUE, [list(endpoint_ids)])
    except Error as error:
        logger.warning("lanes not marked due, the sweep will: %s", type(error).__name__)
    reached("wake.marked")
    bell().ring()
