"""Asks Postgres at each scrape how the platform does, and puts the answers into Prometheus' form."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator

from django.conf import settings
from django.db import Error, connection, transaction
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from deliveries.models import Heartbeat
from deliveries.selectors import heartbeats, platform

logger = logging.getLogger(__name__)

QUESTION_MS = 1000
# A question that takes longer is given up: whoever watches must not add to what is wrong.


class PlatformCollector(Collector):
    """Each question by itself: where one cannot be answered the others are, and `signet_question_failed` names it."""

    def describe(self) -> Iterable[Metric]:
        """Nothing is asked when the collector is registered."""
        return ()

    def collect(self) -> Iterator[Metric]:
        failed = GaugeMetricFamily(
            "signet_question_failed", "1 where Postgres did not answer a question of this scrape.", labels=["question"]
        )
        seconds = GaugeMetricFamily(
            "signet_question_seconds", "How long Postgres took to answer it in this scrape.", labels=["question"]
        )
        for name, question in QUESTIONS.items():
            began = time.monotonic()
            families = _asked(name, question)
            seconds.add_metric([name], time.monotonic() - began)
            failed.add_metric([name], float(families is None))
            yield from families or ()
        yield failed
        yield seconds


def _asked(name: str, question: Callable[[], list[Metric]]) -> list[Metric] | None:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, TRUE)", [str(QUESTION_MS)])
            return question()
    except Error as error:
        logger.warning("the metrics of %s could not be read: %s", name, type(error).__name__)
        connection.close()
        return None


def _of_flow() -> list[Metric]:
    flow = heartbeats.flow()
    stalled = flow.is_stalled(after_s=settings.STALL_AFTER_S)
    return [
        _gauge(
            "signet_oldest_due_seconds",
            "How long the longest-waiting lane that nobody serves has been due; 0 if there is none.",
            flow.oldest_due_s,
        ),
        _gauge(
            "signet_stalled", "1 while something has been due, and no drain took a turn, for STALL_AFTER_S.", stalled
        ),
    ]


def _of_lanes() -> list[Metric]:
    found = platform.lanes()
    lanes = GaugeMetricFamily("signet_lanes", "Lanes (one for each endpoint), by their state.", labels=["state"])
    for state, count in found.by_state.items():
        lanes.add_metric([state], count)
    return [
        lanes,
        _gauge("signet_suspect_lanes", "Lanes whose receiver timed out last.", found.suspects),
        _gauge("signet_in_flight", "Deliveries that drains hold leased.", found.in_flight),
    ]


def _of_due() -> list[Metric]:
    count = platform.due_deliveries(longest_attempt_s=settings.DELIVERY_TIMEOUT)
    text = f"Deliveries that could be sent now and are not in flight, counted up to {platform.DUE_MOST}."
    return [_gauge("signet_due_deliveries", text, count)]


def _of_pending() -> list[Metric]:
    text = "Deliveries that are neither delivered nor given up, as Postgres estimates it."
    return [_gauge("signet_pending_deliveries", text, platform.pending_deliveries())]


def _of_hour() -> list[Metric]:
    hour = platform.this_hour()
    ended = GaugeMetricFamily(
        "signet_hour_deliveries", "Deliveries that ended in the present hour, a few seconds late.", labels=["status"]
    )
    ended.add_metric(["delivered"], hour.delivered)
    ended.add_metric(["failed"], hour.failed)
    attempts = _gauge(
        "signet_hour_attempts", "Attempts that began in the present hour, a few seconds late.", hour.attempts
    )
    return [ended, attempts]


def _of_counts() -> list[Metric]:
    text = f"Recorded groups that the hourly counts do not have yet, counted up to {platform.WAITING_COUNTS_MOST}."
    return [_gauge("signet_waiting_counts", text, platform.waiting_counts())]


def _of_nodes() -> list[Metric]:
    known = heartbeats.nodes()
    alive = GaugeMetricFamily(
        "signet_nodes", "Workers and beats whose heartbeat was heard in the last 16 seconds.", labels=["kind"]
    )
    silent = GaugeMetricFamily(
        "signet_node_silent_seconds", "Seconds since a node's last heartbeat.", labels=["kind", "node"]
    )
    idle = GaugeMetricFamily(
        "signet_node_idle_seconds",
        "Seconds since a drain's last turn, another worker's last task, beat's last tick that Redis took.",
        labels=["kind", "node"],
    )
    for kind in Heartbeat.Kind.values:
        alive.add_metric([kind], sum(node.is_alive for node in known if node.kind == kind))
    for node in known:
        silent.add_metric([node.kind, node.node], node.silent_s)
        idle.add_metric([node.kind, node.node], node.idle_s)
    return [alive, silent, idle]


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))


QUESTIONS: dict[str, Callable[[], list[Metric]]] = {
    "flow": _of_flow,
    "nodes": _of_nodes,
    "lanes": _of_lanes,
    "due": _of_due,
    "pending": _of_pending,
    "hour": _of_hour,
    "counts": _of_counts,
}
