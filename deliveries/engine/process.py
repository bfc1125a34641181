"""The engine of this process: made at its first drain, kept between drains, so that sockets and caches stay warm."""

import gc
import logging
import resource
import threading

from django.conf import settings

from deliveries import metrics, tracing
from deliveries.doorbell import bell
from deliveries.engine.clock import Clock
from deliveries.engine.drain import Drain, Engine
from deliveries.engine.endpoints import EndpointCache
from deliveries.engine.sender import Sender
from deliveries.engine.stopping import is_stopping
from deliveries.engine.store import Store
from dispatcher.addresses import AddressRules
from dispatcher.http import make_client
from dispatcher.http.door import Limits
from subscriptions.services.endpoint_urls import target_rules

logger = logging.getLogger(__name__)

SPARE_FILES = 256
# Descriptors for everything that is not a delivery: Postgres, Redis, logs, idle keep-alive connections being closed.

GARBAGE_THRESHOLD = 200_000
# Objects made before the collector looks for cycles: about a second's worth.

# A client belongs to one thread; under Celery's thread pool each has an engine of its own.
_local = threading.local()


def drain() -> int:
    """One drain with this process's engine. Returns the number of attempts recorded."""
    metrics.DRAINS.inc()
    try:
        with tracing.draining():
            return Drain(_engine(), is_stopping=is_stopping).run()
    except BaseException:
        # Whatever was in the air is given up: its lanes fall to others when their leases run out.
        close()
        raise


def close() -> None:
    """Drop the engine; the next drain makes a fresh one with a fresh token."""
    engine: Engine | None = _local.__dict__.pop("engine", None)
    if engine is not None:
        engine.sender.close()
        engine.store.close()


def _engine() -> Engine:
    if not hasattr(_local, "engine"):
        _local.engine = _make_engine()
    engine: Engine = _local.engine
    return engine


def _make_engine() -> Engine:
    _calm_garbage_collector()
    rules = AddressRules(allowed_networks=tuple(settings.ALLOWED_TARGET_NETWORKS))
    client = make_client(settings.HTTP_CLIENT, rules=rules, limits=Limits(deadline_s=settings.DELIVERY_TIMEOUT))
    sender = Sender(client, EndpointCache(target_rules()))
    # A process that may hardly open a file still delivers, slowly.
    capacity = max(1, min(settings.DRAIN_CAPACITY, _files() - SPARE_FILES))
    return Engine(Store(), sender, Clock(), bell(), capacity)


def _calm_garbage_collector() -> None:
    """The engine makes many objects and hardly a cycle: at the default threshold the collector looked through every
    prepared endpoint again and again, and took a third of a cold drain's time."""
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD, 20, 20)


def _files() -> int:
    """How many files this process may open, after asking for as many as it is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.DRAIN_CAPACITY * 2 + SPARE_FILES
    if soft < wanted and (hard == resource.RLIM_INFINITY or soft < hard):
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft
