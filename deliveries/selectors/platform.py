"""Reads how the whole platform does, for those who watch it. Nothing here reads the log.

The lanes are read one and all, one row for each endpoint; whatever grows with the traffic is read up to a bound, or as
Postgres estimates it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from django.db import connection

from deliveries.engine.store import LEASE, LEASE_BEYOND_ATTEMPT

DUE_MOST = 50_000
# Due deliveries that one look counts, at about three microseconds each; the estimate of what is pending tells of a
# longer queue.
WAITING_COUNTS_MOST = 10_000
# Of count deltas. A roll-up takes 4,000 at a time.

LANE_STATES = ("idle", "waiting", "due", "open", "serving", "abandoned")

LANES = """
SELECT
    CASE
        WHEN leased_until > statement_timestamp() THEN 'serving'
        WHEN leased_until IS NOT NULL THEN 'abandoned'
        WHEN open_until > statement_timestamp() THEN 'open'
        WHEN due_at <= statement_timestamp() THEN 'due'
        WHEN due_at IS NOT NULL THEN 'waiting'
        ELSE 'idle'
    END AS state,
    count(*), count(*) FILTER (WHERE is_suspect), COALESCE(sum(cardinality(in_flight)), 0)::bigint
FROM deliveries_lane GROUP BY state
"""

DUE = """
SELECT count(*) FROM (
    SELECT FROM deliveries_lane l CROSS JOIN LATERAL (
        SELECT FROM deliveries_laneentry e
        WHERE e.endpoint_id = l.endpoint_id AND e.due_at <= statement_timestamp()
        AND e.delivery_id <> ALL (l.in_flight)
        LIMIT %(most)s
    ) due
    -- A lane that is held is due at the latest when its lease ends.
    WHERE l.due_at <= statement_timestamp() + %(lease_s)s * INTERVAL '1 second'
    AND (l.not_before IS NULL OR l.not_before <= statement_timestamp())
    LIMIT %(most)s
) found
"""

PENDING = """
SELECT GREATEST(0, n_live_tup) FROM pg_stat_user_tables
WHERE relid = 'deliveries_laneentry'::regclass
"""

THIS_HOUR = """
SELECT COALESCE(sum(attempts), 0)::bigint, COALESCE(sum(delivered), 0)::bigint, COALESCE(sum(failed), 0)::bigint
FROM deliveries_hourlycount WHERE hour = date_trunc('hour', statement_timestamp(), 'UTC')
"""

WAITING_COUNTS = "SELECT count(*) FROM (SELECT FROM deliveries_countdelta LIMIT %(most)s) found"


@dataclass(frozen=True, slots=True)
class Lanes:
    """How many lanes are in each state, how many of all have a receiver that timed out last, and what is in flight.

    `serving`: a drain holds it; `abandoned`: it did, and has not been heard of for a lease; `open`: its breaker is;
    `due`: it waits for a drain; `waiting`: its next delivery is not due yet; `idle`: nothing waits in it.
    """

    by_state: dict[str, int]
    suspects: int
    in_flight: int


@dataclass(frozen=True, slots=True)
class Hour:
    """What the attempts that began in the present hour came to, as far as they are rolled up (a few seconds late)."""

    attempts: int
    delivered: int
    failed: int


def lanes() -> Lanes:
    with connection.cursor() as cursor:
        cursor.execute(LANES)
        rows = cursor.fetchall()
    counts = dict.fromkeys(LANE_STATES, 0) | {state: count for state, count, _, _ in rows}
    return Lanes(counts, sum(row[2] for row in rows), sum(row[3] for row in rows))


def due_deliveries(*, longest_attempt_s: float) -> int:
    """Deliveries that could be sent now and are not in flight: at most DUE_MOST."""
    lease_s = max(LEASE.total_seconds(), longest_attempt_s + LEASE_BEYOND_ATTEMPT.total_seconds())
    return _number(DUE, {"most": DUE_MOST, "lease_s": lease_s})


def pending_deliveries() -> int:
    """Deliveries that are not done with, as Postgres estimates it."""
    return _number(PENDING, {})


def waiting_counts() -> int:
    """Recorded groups that the hourly counts do not have yet: at most WAITING_COUNTS_MOST."""
    return _number(WAITING_COUNTS, {"most": WAITING_COUNTS_MOST})


def this_hour() -> Hour:
    with connection.cursor() as cursor:
        cursor.execute(THIS_HOUR)
        return Hour(*cursor.fetchone())


def _number(sql: str, params: Mapping[str, float]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        (found,) = cursor.fetchone()
    return int(found)
