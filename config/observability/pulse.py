"""A worker's or beat's main process says every few seconds that it is there, and when its node last got somewhere.

In a thread of its own, on a connection that lives for one heartbeat: the pool is forked from this process, and nothing
that is open may pass to a child.
"""

import logging
import os
import socket
import threading
import time
from typing import Any

from celery.signals import (
    after_task_publish,
    beat_init,
    task_postrun,
    worker_process_shutdown,
    worker_ready,
    worker_shutdown,
)
from django.conf import settings
from django.db import Error, connection

from config.observability import port
from deliveries import metrics, progress, tracing
from deliveries.models import Heartbeat
from deliveries.selectors.heartbeats import BEAT_EVERY_S
from deliveries.services import heartbeats

logger = logging.getLogger(__name__)

LEAVE_S = 2.0
# A process that is asked to stop waits no longer than this for its last heartbeat.
DRAIN_QUEUE = "drain"


class Pulse(threading.Thread):
    """One node's heartbeat."""

    def __init__(self, *, node: str, kind: str) -> None:
        super().__init__(name="pulse", daemon=True)
        self.node, self.kind = node, kind
        self._began = time.monotonic()
        self._is_over = threading.Event()
        self._is_heard = True

    def run(self) -> None:
        while True:
            self._beat()
            if self._is_over.wait(BEAT_EVERY_S):
                break
        self._leave()

    def end(self) -> None:
        """The node stops as it should."""
        self._is_over.set()
        self.join(LEAVE_S)

    @property
    def idle_s(self) -> float:
        """How long ago the node got somewhere; a new one has begun, and that counts."""
        idle_s = progress.age_s()
        age_s = time.monotonic() - self._began
        return age_s if idle_s is None else min(idle_s, age_s)

    def _beat(self) -> None:
        try:
            heartbeats.beat(
                node=self.node,
                kind=self.kind,
                pid=os.getpid(),
                age_s=time.monotonic() - self._began,
                progress_age_s=self.idle_s,
            )
        except Error as error:
            if self._is_heard:
                logger.warning("the heartbeat cannot be written: %s", type(error).__name__)
            self._is_heard = False
        else:
            if not self._is_heard:
                logger.info("the heartbeat is written again")
            self._is_heard = True
        finally:
            connection.close()

    def _leave(self) -> None:
        try:
            heartbeats.leave(node=self.node, pid=os.getpid())
        except Error as error:
            logger.warning("the heartbeat could not be taken away: %s", type(error).__name__)
        finally:
            connection.close()


_pulse: Pulse | None = None


def _start(node: str, kind: str) -> None:
    global _pulse  # noqa: PLW0603 - one a process
    _pulse = Pulse(node=node, kind=kind)
    _pulse.start()
    port.serve(_pulse)


@worker_ready.connect
def _worker_is_ready(sender: Any, **_: Any) -> None:
    queues = sender.app.amqp.queues.consume_from
    _start(sender.hostname, Heartbeat.Kind.DRAIN if DRAIN_QUEUE in queues else Heartbeat.Kind.TASKS)


@worker_shutdown.connect
def _worker_stops(**_: Any) -> None:
    if _pulse is not None:
        _pulse.end()


@beat_init.connect
def _beat_begins(**_: Any) -> None:
    """Its ticks are told from the ticks that Redis took: one that is sent nowhere rings for nobody."""
    after_task_publish.connect(_ticked, weak=False)
    _start(f"beat-{settings.PORT}@{socket.gethostname()}", Heartbeat.Kind.BEAT)


def _ticked(**_: Any) -> None:
    progress.note()


@task_postrun.connect
def _task_ended(task: Any, state: str | None, **_: Any) -> None:
    progress.note()
    metrics.TASKS.labels(task.name, (state or "unknown").lower()).inc()


@worker_process_shutdown.connect
def _pool_process_ends(**_: Any) -> None:
    """It ends without what Python does at an exit."""
    tracing.close()
