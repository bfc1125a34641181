"""Rows of the hourly statistics, as the roll-up would write them."""

from datetime import datetime, timedelta

from deliveries.models import HourlyCount
from dispatcher.latencies import CLASSES, LATENCY_BOUNDS_MS
from subscriptions.models import Endpoint

QUICK_CLASS = 3


def count_hour(
    endpoint: Endpoint,
    hour: datetime,
    *,
    delivered: int = 0,
    failed: int = 0,
    type: str = "invoice.paid",  # noqa: A002
) -> HourlyCount:
    """An hour in which each attempt was the last of its delivery; all that delivered took about the same time."""
    latencies = [0] * CLASSES
    latencies[QUICK_CLASS] = delivered
    return HourlyCount.objects.create(
        hour=hour.replace(minute=0, second=0, microsecond=0), endpoint_id=endpoint.id, owner_id=endpoint.owner_id,
        event_type=type, attempts=delivered + failed, delivered=delivered, failed=failed, latencies=latencies,
    )  # fmt: skip


def hours_ago(now: datetime, hours: int) -> datetime:
    return now - timedelta(hours=hours)


__all__ = ["LATENCY_BOUNDS_MS", "QUICK_CLASS", "count_hour", "hours_ago"]
