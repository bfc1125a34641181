"""Counts the attempts again, compares with the hourly counts, and puts right what differs.

Nothing makes them differ but rows that were changed behind this app's back, or a fault in it: this is how one knows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from deliveries.selectors import counts_sql
from deliveries.selectors.partitions import partitions
from deliveries.selectors.statistics import HOUR, hour_of
from deliveries.services import statistics
from dispatcher.ids import first_id

ATTEMPTS_A_STEP = 100_000
# A third of a second where the rows are in memory: how often progress is told.
REPAIRS_A_STEP = 1_000
# Hourly counts that are locked at once; roll-ups wait for them meanwhile.
ID_SLACK = timedelta(days=1)
# The ids of attempts carry the clocks of hosts, their times that of the database.

CREATE = """
CREATE TEMP TABLE recounted (
    hour timestamptz, endpoint_id uuid, owner_id uuid, event_type text,
    attempts bigint, delivered bigint, failed bigint, latencies bigint[]
) ON COMMIT DROP
"""

STEP_END = """
SELECT id FROM deliveries_attempt WHERE delivery_id BETWEEN %(low)s AND %(high)s AND id > %(after)s
ORDER BY id OFFSET %(skipped)s LIMIT 1
"""

ADD_STEP = f"""
INSERT INTO recounted
SELECT hour, endpoint_id, owner_id, event_type, {counts_sql.COUNTS}
FROM (
    SELECT {counts_sql.HOUR} AS hour, d.endpoint_id, d.owner_id, d.event_type, a.leaves, {counts_sql.CLASS} AS class
    FROM (
        SELECT delivery_id, trigger, leaves, started_at, total_ms AS latency_ms FROM deliveries_attempt
        WHERE delivery_id BETWEEN %(low)s AND %(high)s
        AND id > %(after)s AND (%(last)s::uuid IS NULL OR id <= %(last)s)
    ) a
    JOIN deliveries_delivery d ON d.id = a.delivery_id AND d.id BETWEEN %(low)s AND %(high)s
    WHERE a.started_at >= %(since)s AND a.trigger <> 'test' AND a.leaves IS NOT NULL
) a
GROUP BY hour, endpoint_id, owner_id, event_type
"""  # noqa: S608 - built from the constants of counts_sql


def _both(name: str) -> str:
    return ", ".join(
        f"COALESCE(sum({name}) FILTER (WHERE {side}), 0)::bigint AS {prefix}_{name}"
        for prefix, side in (("kept", "is_kept"), ("found", "NOT is_kept"))
    )


COMPARE = f"""
CREATE TEMP TABLE recount_difference ON COMMIT PRESERVE ROWS AS
SELECT row_number() OVER (ORDER BY endpoint_id, hour, event_type) AS number, * FROM (
    SELECT hour, endpoint_id, event_type, (array_agg(owner_id ORDER BY is_kept))[1] AS owner_id,
        {_both("attempts")}, {_both("delivered")}, {_both("failed")},
        {counts_sql.latency_sums("is_kept")} AS kept_latencies,
        {counts_sql.latency_sums("NOT is_kept")} AS found_latencies
    FROM (
        SELECT FALSE AS is_kept, r.* FROM recounted r
        UNION ALL
        SELECT TRUE, hour, endpoint_id, owner_id, event_type, attempts, delivered, failed, latencies
        FROM deliveries_hourlycount WHERE hour >= %(since)s
        UNION ALL
        SELECT TRUE, hour, endpoint_id, owner_id, event_type, {counts_sql.COUNTS}
        FROM (
            SELECT {counts_sql.HOUR} AS hour, a.endpoint_id, a.owner_id, a.event_type, a.leaves,
                {counts_sql.CLASS} AS class
            FROM {counts_sql.rows_of("deliveries_countdelta")} WHERE a.started_at >= %(since)s
        ) a
        GROUP BY hour, endpoint_id, owner_id, event_type
    ) both_sides
    GROUP BY hour, endpoint_id, event_type
) compared
WHERE (kept_attempts, kept_delivered, kept_failed, kept_latencies)
    IS DISTINCT FROM (found_attempts, found_delivered, found_failed, found_latencies)
"""  # noqa: S608 - built from the constants of counts_sql

DIFFERENCES = """
SELECT hour, endpoint_id, event_type, kept_attempts, kept_delivered, kept_failed, kept_latencies,
    found_attempts, found_delivered, found_failed, found_latencies
FROM recount_difference ORDER BY number LIMIT %(limit)s
"""

NEED_COUNTS = """
INSERT INTO deliveries_hourlycount
    (id, hour, endpoint_id, owner_id, event_type, attempts, delivered, failed, latencies)
SELECT gen_random_uuid(), hour, endpoint_id, owner_id, event_type, 0, 0, 0,
    array_fill(0::bigint, ARRAY[cardinality(found_latencies)])
FROM recount_difference WHERE number > %(after)s AND number <= %(last)s ORDER BY number
ON CONFLICT DO NOTHING
"""

LOCK_COUNTS = """
SELECT FROM deliveries_hourlycount h JOIN recount_difference r USING (endpoint_id, hour, event_type)
WHERE r.number > %(after)s AND r.number <= %(last)s ORDER BY h.endpoint_id, h.hour, h.event_type FOR UPDATE OF h
"""

CORRECT = f"""
UPDATE deliveries_hourlycount h SET
    attempts = h.attempts + r.attempts, delivered = h.delivered + r.delivered, failed = h.failed + r.failed,
    latencies = {counts_sql.latencies_added("h.latencies", "r.latencies")}
FROM (
    SELECT endpoint_id, hour, event_type, found_attempts - kept_attempts AS attempts,
        found_delivered - kept_delivered AS delivered, found_failed - kept_failed AS failed,
        {counts_sql.latencies_subtracted("found_latencies", "kept_latencies")} AS latencies
    FROM recount_difference WHERE number > %(after)s AND number <= %(last)s
) r
WHERE h.endpoint_id = r.endpoint_id AND h.hour = r.hour AND h.event_type = r.event_type
"""  # noqa: S608 - built from the constants of counts_sql

DROP_EMPTY = """
DELETE FROM deliveries_hourlycount h USING recount_difference r
WHERE r.number > %(after)s AND r.number <= %(last)s AND h.attempts = 0
AND h.endpoint_id = r.endpoint_id AND h.hour = r.hour AND h.event_type = r.event_type
"""


@dataclass(frozen=True, slots=True)
class Counts:
    """One hourly count, as it is kept or as it was found by counting."""

    attempts: int
    delivered: int
    failed: int
    latencies: list[int]


@dataclass(frozen=True, slots=True)
class Difference:
    """Where the two do not agree."""

    hour: datetime
    endpoint_id: UUID
    event_type: str
    kept: Counts
    found: Counts


def first_hour(*, kept_since: datetime, asked: datetime | None) -> datetime:
    """Where a recount begins that was asked to begin there. Before the first hour that lies within retention as a
    whole, attempts or counts may be gone."""
    first = hour_of(kept_since) + HOUR
    return first if asked is None else max(first, hour_of(asked))


def compare(*, since: datetime, told: Callable[[int], None]) -> int:
    """Count all attempts since that full hour, and return how many hourly counts differ; `differences` reads them.

    `told` hears how many attempts were read so far. All of it sees the database as of one moment, so that what drains
    and roll-ups do meanwhile is on neither side; Postgres keeps what they delete until the recount is over.
    """
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("DROP TABLE IF EXISTS recount_difference")
        cursor.execute(CREATE)
        _count_again(cursor, since=since, told=told)
        cursor.execute(COMPARE, {"since": since})
        return int(cursor.rowcount)


def _count_again(cursor: Any, *, since: datetime, told: Callable[[int], None]) -> None:
    """Partition by partition: also in those of days before `since` there may be attempts that started later."""
    read = 0
    for partition in partitions():
        within = partition.ids.params
        after: UUID | None = first_id(since, slack=-ID_SLACK)
        while after is not None:
            cursor.execute(STEP_END, {"after": after, "skipped": ATTEMPTS_A_STEP - 1} | within)
            last = next((found for (found,) in cursor.fetchall()), None)
            cursor.execute(ADD_STEP, {"after": after, "last": last, "since": since} | within)
            after = last
            if last is not None:
                read += ATTEMPTS_A_STEP
                told(read)


def differences(*, limit: int | None = None) -> list[Difference]:
    """Of the last `compare` on this connection, by endpoint and hour."""
    with connection.cursor() as cursor:
        cursor.execute(DIFFERENCES, {"limit": limit})
        return [_difference(*row) for row in cursor.fetchall()]


def _difference(hour: datetime, endpoint_id: UUID, event_type: str, *counts: Any) -> Difference:
    return Difference(hour, endpoint_id, event_type, kept=Counts(*counts[:4]), found=Counts(*counts[4:]))


def repair(*, count: int) -> None:
    """Make the hourly counts what the last `compare` on this connection found, step by step.

    1. What it saw as deltas must be in the hourly counts first: no count may fall below zero.
    2. The differences are added, not the found counts written: what was recorded since then stays counted.
    """
    while statistics.roll_up() >= statistics.FULL_RUN:
        pass
    for after in range(0, count, REPAIRS_A_STEP):
        with transaction.atomic(), connection.cursor() as cursor:
            for sql in (NEED_COUNTS, LOCK_COUNTS, CORRECT, DROP_EMPTY):
                cursor.execute(sql, {"after": after, "last": after + REPAIRS_A_STEP})
