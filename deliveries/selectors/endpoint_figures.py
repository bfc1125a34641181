"""Reads how each endpoint of a merchant did: one statement for all of them, however long the log is."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from deliveries import id_ranges
from deliveries.selectors import counts_sql
from deliveries.selectors.log import FIRST_LOOK
from deliveries.selectors.statistics import Figures
from dispatcher.ids import first_id, new_id, time_of

BY_ENDPOINT = f"""
WITH counted AS (
    SELECT h.endpoint_id, h.hour, h.attempts, h.delivered, h.failed, h.latencies
    FROM deliveries_hourlycount h
    WHERE h.owner_id = %(owner)s AND h.hour >= %(since)s AND h.hour < %(until)s
    UNION ALL
    SELECT endpoint_id, hour, {counts_sql.COUNTS}
    FROM (
        SELECT a.endpoint_id, {counts_sql.HOUR} AS hour, a.leaves, {counts_sql.CLASS} AS class
        FROM {counts_sql.rows_of("deliveries_countdelta")}
        WHERE %(owner)s = ANY (d.owner_ids) AND a.owner_id = %(owner)s
        AND a.started_at >= %(since)s AND a.started_at < %(until)s
    ) a
    GROUP BY endpoint_id, hour
)
SELECT endpoint_id, width_bucket(hour, %(bounds)s::timestamptz[]) - 1, sum(attempts)::bigint, sum(delivered)::bigint,
    sum(failed)::bigint, {counts_sql.latency_sums()}
FROM counted GROUP BY 1, 2
"""  # noqa: S608 - built from the constants of counts_sql

NEWEST = """
SELECT e.id, d.last_attempt_at, d.status FROM unnest(%(endpoints)s::uuid[]) AS e (id)
CROSS JOIN LATERAL (
    SELECT last_attempt_at, status FROM deliveries_delivery
    WHERE endpoint_id = e.id AND id >= %(first)s AND id < %(end)s ORDER BY id DESC LIMIT 1
) d
"""


@dataclass(slots=True)
class EndpointFigures:
    """What an endpoint's attempts came to in a window, and in each of its parts."""

    buckets: list[Figures]
    totals: Figures = field(default_factory=Figures)


def read(*, owner_id: UUID, starts: Sequence[datetime], until: datetime) -> dict[UUID, EndpointFigures]:
    """By endpoint; those without an attempt in the window are left out. `starts` are the parts' first hours."""
    params: dict[str, Any] = {"owner": owner_id, "since": starts[0], "until": until, "bounds": list(starts)}
    found: dict[UUID, EndpointFigures] = {}
    with connection.cursor() as cursor:
        cursor.execute(BY_ENDPOINT, params)
        for endpoint_id, place, attempts, delivered, failed, latencies in cursor.fetchall():
            mine = found.setdefault(endpoint_id, EndpointFigures([Figures() for _ in starts]))
            figures = Figures(attempts, delivered, failed, latencies)
            mine.buckets[place].add(figures)
            mine.totals.add(figures)
    return found


def newest(endpoint_ids: Sequence[UUID]) -> dict[UUID, tuple[datetime | None, str]]:
    """When the newest delivery of each was tried last, and its status. Most have one of the last days: all days are
    gone through only for the others."""
    floor = first_id(time_of(new_id()), slack=-FIRST_LOOK)
    found = _newest(endpoint_ids, floor, id_ranges.LAST)
    others = [endpoint_id for endpoint_id in endpoint_ids if endpoint_id not in found]
    return found | (_newest(others, id_ranges.FIRST, floor) if others else {})


def _newest(endpoint_ids: Sequence[UUID], first: UUID, end: UUID) -> dict[UUID, tuple[datetime | None, str]]:
    with connection.cursor() as cursor:
        cursor.execute(NEWEST, {"endpoints": list(endpoint_ids), "first": first, "end": end})
        return {endpoint_id: (tried_at, status) for endpoint_id, tried_at, status in cursor.fetchall()}
