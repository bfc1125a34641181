"""Reads what all attempts of all merchants came to, hour by hour. Never reads an attempt."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from deliveries.selectors import counts_sql
from deliveries.selectors.statistics import HOUR, Figures, hour_of

HOURS = 24

BY_HOUR = f"""
WITH counted AS (
    SELECT hour, attempts, delivered, failed, latencies FROM deliveries_hourlycount
    WHERE hour >= %(since)s AND hour < %(until)s
    UNION ALL
    SELECT hour, {counts_sql.COUNTS}
    FROM (
        SELECT {counts_sql.HOUR} AS hour, a.leaves, {counts_sql.CLASS} AS class
        FROM {counts_sql.rows_of("deliveries_countdelta")}
        WHERE a.started_at >= %(since)s AND a.started_at < %(until)s
    ) a
    GROUP BY hour
)
SELECT hour, sum(attempts)::bigint, sum(delivered)::bigint, sum(failed)::bigint, {counts_sql.latency_sums()}
FROM counted GROUP BY hour
"""  # noqa: S608 - built from the constants of counts_sql


def by_hour(*, now: datetime, hours: int = HOURS) -> dict[datetime, Figures]:
    """The last `hours`, the present one among them, each with its figures: what is not rolled up yet is in. One
    statement, which reads a row for each endpoint, type of event and hour."""
    until = hour_of(now) + HOUR
    since = until - timedelta(hours=hours)
    found = {since + HOUR * number: Figures() for number in range(hours)}
    for hour, *sums in _rows(BY_HOUR, {"since": since, "until": until}):
        found[hour] = Figures(*sums)
    return found


def total(figures: Iterable[Figures]) -> Figures:
    summed = Figures()
    for one in figures:
        summed.add(one)
    return summed


def _rows(sql: str, params: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())
