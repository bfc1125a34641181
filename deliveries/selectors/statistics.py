"""Reads what attempts came to: the hourly counts and what was not added to them yet, as of one moment.

However many endpoints a merchant has, two statements. Neither reads an attempt.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db import connection

from deliveries.selectors import counts_sql
from dispatcher.latencies import CLASSES, percentile

LOOKED_AT = 10_000
# Rows that one answer looks at to count what is pending, and again for what is held; beyond it the numbers are lower
# bounds. No index knows what is held, so each is a row to fetch: a few milliseconds, and not seconds for millions.
HOUR = timedelta(hours=1)


def hour_of(moment: datetime) -> datetime:
    """The beginning of its hour. The moment is in UTC."""
    return moment.replace(minute=0, second=0, microsecond=0)


class Bucket(StrEnum):
    """The length of one member of a series. Days are UTC's."""

    HOUR = "hour"
    DAY = "day"

    @property
    def length(self) -> timedelta:
        return HOUR if self is Bucket.HOUR else timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Whose statistics: a merchant's, or of one of its endpoints, or of one type of event. `since` and `until` are
    whole hours; the first is included, the second is not."""

    owner_id: UUID
    endpoint_id: UUID | None
    event_type: str | None
    since: datetime
    until: datetime


@dataclass(slots=True)
class Figures:
    """What some attempts came to; `latencies` are those of the ones that delivered, counted in classes."""

    attempts: int = 0
    delivered: int = 0
    failed: int = 0
    latencies: list[int] = field(default_factory=lambda: [0] * CLASSES)

    @property
    def success_ratio(self) -> float | None:
        """Of the deliveries that came to an end; None when none did."""
        finished = self.delivered + self.failed
        return self.delivered / finished if finished else None

    def latency_ms(self, percent: float) -> float | None:
        return percentile(self.latencies, percent)

    def add(self, other: "Figures") -> None:
        self.attempts += other.attempts
        self.delivered += other.delivered
        self.failed += other.failed
        self.latencies = [one + more for one, more in zip(self.latencies, other.latencies, strict=True)]


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many deliveries are in some state now: exactly, or at least so many."""

    count: int
    is_exact: bool


@dataclass(frozen=True, slots=True)
class Statistics:
    """All of a scope. The series has a member for every bucket, also for those in which nothing happened."""

    totals: Figures
    series: dict[datetime, Figures]
    by_type: dict[str, Figures]
    pending: Waiting
    held: Waiting


_SUMS = f"sum(attempts)::bigint, sum(delivered)::bigint, sum(failed)::bigint, {counts_sql.latency_sums()}"

COUNTED = f"""
WITH counted AS (
    SELECT h.hour, h.event_type, h.attempts, h.delivered, h.failed, h.latencies
    FROM deliveries_hourlycount h
    WHERE h.{{column}} = %(id)s AND h.hour >= %(since)s AND h.hour < %(until)s
    AND (%(event_type)s::text IS NULL OR h.event_type = %(event_type)s)
    UNION ALL
    SELECT hour, event_type, {counts_sql.COUNTS}
    FROM (
        SELECT {counts_sql.HOUR} AS hour, a.event_type, a.leaves, {counts_sql.CLASS} AS class
        FROM {counts_sql.rows_of("deliveries_countdelta")}
        -- Most deltas hold nothing of this scope: their other arrays are not even fetched.
        WHERE %(id)s = ANY (d.{{column}}s) AND a.{{column}} = %(id)s
        AND a.started_at >= %(since)s AND a.started_at < %(until)s
        AND (%(event_type)s::text IS NULL OR a.event_type = %(event_type)s)
    ) a
    GROUP BY hour, event_type
)
SELECT date_trunc(%(bucket)s, hour, 'UTC'), event_type, {_SUMS}
FROM counted GROUP BY 1, 2 ORDER BY 1, 2
"""  # noqa: S608 - built from the constants of counts_sql

WAITING = """
WITH meant AS (
    SELECT id FROM subscriptions_endpoint
    WHERE owner_id = %(owner_id)s
    AND CASE WHEN %(endpoint_id)s::uuid IS NULL THEN deleted_at IS NULL ELSE id = %(endpoint_id)s END
),
pending AS MATERIALIZED (
    SELECT e.delivery_id FROM meant CROSS JOIN LATERAL (
        SELECT delivery_id FROM deliveries_laneentry WHERE endpoint_id = meant.id LIMIT %(most)s
    ) e
    LIMIT %(most)s
),
recent AS MATERIALIZED (
    SELECT status, event_type FROM deliveries_delivery WHERE {column} = %(id)s ORDER BY id DESC LIMIT %(most)s
)
SELECT
    -- Their types are read only where one is asked for.
    CASE WHEN %(event_type)s::text IS NOT NULL THEN ARRAY(SELECT delivery_id FROM pending) END,
    (SELECT count(*) FROM pending),
    (SELECT count(*) FROM pending) < %(most)s,
    count(*) FILTER (WHERE status = 'held' AND (%(event_type)s::text IS NULL OR event_type = %(event_type)s)),
    count(*) < %(most)s
FROM recent
"""

OF_TYPE = """
SELECT count(*) FROM deliveries_delivery WHERE id = ANY (%(ids)s::uuid[]) AND event_type = %(event_type)s
"""


def read(scope: Scope, *, bucket: Bucket) -> Statistics:
    """Exact as of now: what was counted a moment ago is in, whether or not it was rolled up already.

    `pending` and `held` are what is so now, whatever the window: exactly, where at most LOOKED_AT entries and
    deliveries had to be looked at (the newest first: what comes while an endpoint is disabled is held).
    """
    series = {start: Figures() for start in _starts(scope, bucket)}
    by_type: defaultdict[str, Figures] = defaultdict(Figures)
    totals = Figures()
    for start, event_type, figures in _counted(scope, bucket):
        series[max(start, scope.since)].add(figures)
        by_type[event_type].add(figures)
        totals.add(figures)
    pending, held = _waiting(scope)
    return Statistics(totals, series, dict(sorted(by_type.items())), pending, held)


def _starts(scope: Scope, bucket: Bucket) -> Iterator[datetime]:
    """The first bucket begins with the window, the others at their full hour or midnight."""
    start = scope.since
    while start < scope.until:
        yield start
        start = (start.replace(hour=0) if bucket is Bucket.DAY else start) + bucket.length


def _counted(scope: Scope, bucket: Bucket) -> Iterable[tuple[datetime, str, Figures]]:
    params = {"since": scope.since, "until": scope.until, "event_type": scope.event_type, "bucket": bucket.value}
    for start, event_type, *sums in _rows(COUNTED, scope, params):
        yield start, event_type, Figures(*sums)


def _waiting(scope: Scope) -> tuple[Waiting, Waiting]:
    params = {"owner_id": scope.owner_id, "endpoint_id": scope.endpoint_id, "event_type": scope.event_type}
    [(ids, pending, is_pending_exact, held, is_held_exact)] = _rows(WAITING, scope, params | {"most": LOOKED_AT})
    if ids:
        [(pending,)] = _rows(OF_TYPE, scope, {"ids": ids, "event_type": scope.event_type})
    return Waiting(pending, is_pending_exact), Waiting(held, is_held_exact)


def _rows(sql: str, scope: Scope, params: dict[str, Any]) -> list[tuple[Any, ...]]:
    column = "owner_id" if scope.endpoint_id is None else "endpoint_id"
    with connection.cursor() as cursor:
        cursor.execute(sql.format(column=column), params | {"id": scope.endpoint_id or scope.owner_id})
        return list(cursor.fetchall())
