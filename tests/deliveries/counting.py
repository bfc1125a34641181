"""Counts attempts in plain Python: what the statistics must equal, at any moment."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from deliveries.models import Attempt, CountDelta, Delivery, HourlyCount
from dispatcher.latencies import CLASSES, class_of


class Key(NamedTuple):
    hour: datetime
    endpoint_id: UUID
    owner_id: UUID
    event_type: str


Counts = dict[Key, tuple[Any, ...]]


def recounted() -> Counts:
    """What the rows of the attempts say."""
    deliveries = Delivery.objects.in_bulk()
    rows = []
    for attempt in Attempt.objects.exclude(trigger="test").exclude(leaves=None):
        delivery = deliveries[attempt.delivery_id]
        key = Key(hour_of(attempt.started_at), delivery.endpoint_id, delivery.owner_id, delivery.event_type)
        rows.append((key, attempt.leaves, attempt.total_ms))
    return _counted(rows)


def kept() -> Counts:
    """What the statistics say: the hourly counts and what was not added to them yet."""
    found: defaultdict[Key, list[int]] = defaultdict(lambda: [0] * (3 + CLASSES))
    for row in HourlyCount.objects.all():
        key = Key(row.hour, row.endpoint_id, row.owner_id, row.event_type)
        found[key] = [row.attempts, row.delivered, row.failed, *row.latencies]
    for key, values in _counted(waiting()).items():
        found[key] = [one + more for one, more in zip(found[key], values, strict=True)]
    return {key: tuple(values) for key, values in found.items()}


def waiting() -> Iterable[tuple[Key, str, float]]:
    for delta in CountDelta.objects.all():
        columns = (delta.endpoint_ids, delta.owner_ids, delta.event_types)
        for endpoint_id, owner_id, event_type, started_at, leaves, latency_ms in zip(
            *columns, delta.started, delta.leaves, delta.latencies_ms, strict=True
        ):
            yield Key(hour_of(started_at), endpoint_id, owner_id, event_type), leaves, latency_ms


def _counted(rows: Iterable[tuple[Key, str | None, float]]) -> Counts:
    found: defaultdict[Key, Counter[Any]] = defaultdict(Counter)
    for key, leaves, latency_ms in rows:
        found[key]["attempts"] += 1
        found[key][leaves] += 1
        if leaves == "delivered":
            found[key][class_of(latency_ms)] += 1
    names = ("attempts", "delivered", "failed", *range(CLASSES))
    return {key: tuple(counts[name] for name in names) for key, counts in found.items()}


def hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def totals(counts: Counts) -> tuple[int, int, int]:
    """Attempts, delivered and failed of all together."""
    attempts, delivered, failed = (sum(values[position] for values in counts.values()) for position in range(3))
    return attempts, delivered, failed


def check(attempts: int, delivered: int, failed: int) -> None:
    """The statistics equal a recount, and this is what it comes to."""
    found = recounted()
    assert kept() == found
    assert totals(found) == (attempts, delivered, failed)
