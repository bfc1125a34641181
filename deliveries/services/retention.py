"""Deletes what is older than it may be: events with all that came of them, their statistics, and keys that no longer
protect anything."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from django.db import connection, transaction

from deliveries import id_ranges
from deliveries.selectors.partitions import Partition, partitions
from deliveries.services import partitions as partitioning
from dispatcher.ids import first_id

logger = logging.getLogger(__name__)

EVENTS_A_STEP = 1_000
# A step is one transaction of a fraction of a second; its rows' locks meet at most a replay of the same old event.
KEYS_A_STEP = 5_000
COUNTS_A_STEP = 5_000
FIRST_ID = UUID(int=0)

PICK_EVENTS = """
SELECT id FROM deliveries_event WHERE id > %(after)s AND id < %(end)s AND created_at < %(before)s
ORDER BY id LIMIT %(limit)s
"""

DELETE_DELIVERIES = """
WITH kept AS MATERIALIZED (
    -- Still owed, or tried or made within the time for which the log is kept: the event stays as a whole.
    SELECT DISTINCT event_id FROM deliveries_delivery
    WHERE event_id = ANY (%(events)s::uuid[]) AND id BETWEEN %(low)s AND %(high)s
    AND (status = 'pending' OR last_attempt_at >= %(before)s OR created_at >= %(before)s)
),
gone AS (
    -- The status is judged again on the row as it is when its lock is had: a replay may have been faster.
    DELETE FROM deliveries_delivery d
    WHERE d.event_id = ANY (%(events)s::uuid[]) AND d.id BETWEEN %(low)s AND %(high)s AND d.status <> 'pending'
    AND NOT EXISTS (SELECT FROM kept k WHERE k.event_id = d.event_id)
    RETURNING id
),
tries AS (
    DELETE FROM deliveries_attempt a USING gone
    WHERE a.delivery_id = gone.id AND a.delivery_id BETWEEN %(low)s AND %(high)s RETURNING 1
)
SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM tries)
"""

DELETE_EVENTS = """
DELETE FROM deliveries_event e
WHERE e.id = ANY (%(events)s::uuid[])
AND NOT EXISTS (SELECT FROM deliveries_delivery d WHERE d.event_id = e.id AND d.id BETWEEN %(low)s AND %(high)s)
"""

DELETE_KEYS = """
DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE expires_at <= %(now)s LIMIT %(limit)s)
"""

DELETE_COUNTS = """
WITH old AS MATERIALIZED (
    -- In the order of a roll-up, which may still have something to add.
    SELECT id FROM deliveries_hourlycount
    WHERE id IN (SELECT id FROM deliveries_hourlycount WHERE hour <= %(last)s ORDER BY hour LIMIT %(limit)s)
    ORDER BY endpoint_id, hour, event_type FOR UPDATE
)
DELETE FROM deliveries_hourlycount h USING old WHERE h.id = old.id
"""
KEY_TABLES = ("deliveries_idempotencykey", "subscriptions_storedanswer", "subscriptions_portallink")


@dataclass(frozen=True, slots=True)
class Deleted:
    """What one step deleted."""

    events: int = 0
    deliveries: int = 0
    attempts: int = 0
    counts: int = 0
    keys: int = 0

    def __add__(self, other: "Deleted") -> "Deleted":
        return Deleted(
            self.events + other.events,
            self.deliveries + other.deliveries,
            self.attempts + other.attempts,
            self.counts + other.counts,
            self.keys + other.keys,
        )


def purge(*, before: datetime, now: datetime) -> Iterator[Deleted]:
    """Delete the events of all UTC days that were over by `before`, oldest first, step by step; then the hourly counts
    of hours that had ended by then, and the keys that have expired by `now`.

    1. A day of which nothing is pending, and nothing was tried since `before`, goes at once, with its disk.
    2. Of any other day, events go one by one. An event goes with its deliveries and attempts, or stays whole: as long
       as one of its deliveries is pending, or was tried since `before`. Held deliveries go like final ones: what nobody
       asked for in all that time is not kept.
    3. Partitions of the oldest days that hold nothing any more are taken away.

    So no attempt that started since `before` is deleted, and every hour since then still equals a recount of its own.
    What cannot be had because somebody reads or writes for long is left for the next time.
    """
    end = id_ranges.day_of(first_id(before))
    ended = [one for one in partitions() if one.first is not None and one.end is not None and one.end <= end]
    yield from _purge_days(ended, before=before)
    last: UUID | None = FIRST_ID
    while last is not None:
        last, deleted = _purge_events(after=last, end=end, before=before)
        if deleted.events:
            yield deleted
    _fold(by=end)
    while count := _purge_counts(before=before):
        yield Deleted(counts=count)
    for table in KEY_TABLES:
        while count := _purge_keys(table, now=now):
            yield Deleted(keys=count)


def _purge_days(ended: list[Partition], *, before: datetime) -> Iterator[Deleted]:
    for partition in ended:
        try:
            counts = partitioning.empty(partition, before=before)
        except partitioning.LedgerBusy:
            logger.warning("The day %s is in use: it goes row by row, and its disk at another time", partition.first)
        else:
            if counts and any(counts):
                yield Deleted(*counts)


def _fold(*, by: date) -> None:
    try:
        partitioning.fold(by=by)
    except partitioning.LedgerBusy:
        logger.warning("The ledger is in use: its empty partitions are taken away at another time")


@transaction.atomic
def _purge_events(*, after: UUID, end: date, before: datetime) -> tuple[UUID | None, Deleted]:
    """One step: up to which id it came, None at the end, and what it deleted."""
    with connection.cursor() as cursor:
        cursor.execute(
            PICK_EVENTS, {"after": after, "end": id_ranges.first_of(end), "before": before, "limit": EVENTS_A_STEP}
        )
        events = [event_id for (event_id,) in cursor.fetchall()]
        if not events:
            return None, Deleted()
        within = id_ranges.of_all(events).params
        cursor.execute(DELETE_DELIVERIES, {"events": events, "before": before, **within})
        deliveries, attempts = cursor.fetchone()
        cursor.execute(DELETE_EVENTS, {"events": events} | within)
        return events[-1], Deleted(cursor.rowcount, deliveries, attempts)


def _purge_counts(*, before: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(DELETE_COUNTS, {"last": before - timedelta(hours=1), "limit": COUNTS_A_STEP})
        return int(cursor.rowcount)


def _purge_keys(table: str, *, now: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(DELETE_KEYS.format(table=table), {"now": now, "limit": KEYS_A_STEP})
        return int(cursor.rowcount)
