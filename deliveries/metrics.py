"""What processes count of themselves, for Prometheus. docs/observability.md says what each means.

Where PROMETHEUS_MULTIPROC_DIR names a directory, each process keeps its numbers in files there and whoever answers
/metrics adds them up. The hot paths touch a number once for each group of results, not for each of them.
"""

import os
from bisect import bisect_right
from collections.abc import Iterable
from pathlib import Path

if directory := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
    # The library chooses when it is imported, and makes files but no directory.
    Path(directory).mkdir(parents=True, exist_ok=True)

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

from dispatcher.latencies import LATENCY_BOUNDS_MS
from dispatcher.outcomes import Reason

disable_created_metrics()  # type: ignore[no-untyped-call] # the library types little

REGISTRY = CollectorRegistry()

ATTEMPT_BOUNDS_S = tuple(bound / 1000 for bound in LATENCY_BOUNDS_MS[::2])
# Three a decade: each is a number in every process's file.
DELAY_BOUNDS_S = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
# From an idle platform's few milliseconds to a backlog of an hour.
PUBLISH_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
REQUEST_BOUNDS_S = (0.005, 0.025, 0.1, 0.5, 2.5, 10)
# Few, for there is a histogram for each route.


class GroupHistogram(Histogram):
    """A histogram that takes a whole group of observations at once."""

    def observe_all(self, amounts: Iterable[float]) -> None:
        """One update for each bucket that is met: to sort them costs less than to look each of them up."""
        ordered = sorted(amounts)
        if not ordered:
            return
        below = 0
        for bound, bucket in zip(self._upper_bounds, self._buckets, strict=True):
            within = bisect_right(ordered, bound, below)
            if within > below:
                bucket.inc(within - below)
                below = within
            if below == len(ordered):
                break
        self._sum.inc(sum(ordered))


EVENTS = Counter(
    "signet_events",
    "Events taken by publish: accepted, or a duplicate of an earlier one.",
    ["result"],
    registry=REGISTRY,
)
OWED = Counter("signet_deliveries_owed", "Deliveries made by publishing: one for each endpoint.", registry=REGISTRY)
PUBLISH_REFUSALS = Counter(
    "signet_publish_refusals", "Calls of publish that were refused, by the problem's code.", ["code"], registry=REGISTRY
)
PUBLISH_SECONDS = GroupHistogram(
    "signet_publish_seconds",
    "How long publish took, doorbell included; of one event, or of a batch.",
    ["size"],
    buckets=PUBLISH_BOUNDS_S,
    registry=REGISTRY,
)

ATTEMPTS = Counter("signet_attempts", "Attempts recorded, by what came of them.", ["reason"], registry=REGISTRY)
ENDED = Counter(
    "signet_deliveries_ended", "Deliveries that ended: delivered, or failed for good.", ["status"], registry=REGISTRY
)
ATTEMPT_SECONDS = GroupHistogram(
    "signet_attempt_seconds", "How long attempts took, in all.", buckets=ATTEMPT_BOUNDS_S, registry=REGISTRY
)
ATTEMPT_DELAY_SECONDS = GroupHistogram(
    "signet_attempt_delay_seconds",
    "How long after their time attempts began: what rate limits, breakers, order and backlogs add.",
    buckets=DELAY_BOUNDS_S,
    registry=REGISTRY,
)
DRAINS = Counter("signet_drains", "Drains that were started.", registry=REGISTRY)
TURNS = Counter("signet_turns", "Turns that drains took, each one transaction.", registry=REGISTRY)
TURNS_LOST = Counter("signet_turns_lost", "Turns that lost their database; they are taken again.", registry=REGISTRY)
LEASES_LOST = Counter(
    "signet_leases_lost", "Lanes whose lease ran out while a drain still held them.", registry=REGISTRY
)
BREAKER_TRIPS = Counter("signet_breaker_trips", "Breakers that opened.", registry=REGISTRY)
BREAKER_RECOVERIES = Counter("signet_breaker_recoveries", "Breakers that closed again.", registry=REGISTRY)

RINGS = Counter(
    "signet_doorbell_rings",
    "Rings that reached Redis: a drain was queued, or was already.",
    ["result"],
    registry=REGISTRY,
)
DOORBELL_FAILURES = Counter(
    "signet_doorbell_failures", "Times that Redis did not answer the doorbell.", registry=REGISTRY
)
TASKS = Counter("signet_tasks", "Celery tasks that ended, by their state.", ["task", "state"], registry=REGISTRY)

REQUESTS = Counter("signet_http_requests", "Requests answered.", ["method", "route", "status"], registry=REGISTRY)
REQUEST_SECONDS = GroupHistogram(
    "signet_http_request_seconds",
    "How long requests took once a thread worked on them.",
    ["route"],
    buckets=REQUEST_BOUNDS_S,
    registry=REGISTRY,
)
REQUESTS_TURNED_AWAY = Counter(
    "signet_http_requests_turned_away",
    "Requests that were refused before anybody worked on them, by the problem's code.",
    ["code"],
    registry=REGISTRY,
)

ATTEMPTS_BY_REASON = {reason: ATTEMPTS.labels(reason.value) for reason in Reason}
# Made once, so that a rate is known from the first of its kind on, and looked up without the library's lock.
ENDED_BY_STATUS = {status: ENDED.labels(status) for status in ("delivered", "failed")}
