"""Reads which endpoints take nothing at present: how badly, why, how much waits, and what happens next."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection

from deliveries.selectors import counts_sql
from deliveries.selectors.statistics import HOUR, hour_of
from dispatcher.ids import Prefix, first_id, show
from dispatcher.streak import NOTICE, WARN_AT

DAY = timedelta(days=1)
CANDIDATES = 200
# Where more fail, those for which something waits, and of them those that fail longest: their entries are counted.
WAITING_MOST = 1_000
# Entries of one lane that are counted; beyond it the number is a lower bound.
NEWEST_MOST = 200
# Deliveries of one endpoint, the newest, whose last reasons are looked at.
TRIED_FOR = timedelta(days=7)
# Retries of one go on for little more than a day. What was replayed after longer gives no reason here.

FAILING = f"""
WITH candidates AS MATERIALIZED (
    SELECT l.endpoint_id, p.owner_id, p.target, m.name AS owner_name,
        l.failing_since, l.warned_at, l.not_before, l.open_until
    FROM deliveries_lane l
    JOIN subscriptions_endpoint p ON p.id = l.endpoint_id
    JOIN subscriptions_merchant m ON m.id = p.owner_id
    -- As the index of troubled lanes has it.
    WHERE (l.retry_at IS NOT NULL OR l.open_until IS NOT NULL OR l.failing_since IS NOT NULL)
    AND (l.failing_since IS NOT NULL OR l.open_until IS NOT NULL)
    AND p.is_active AND p.deleted_at IS NULL
    AND (%(owner)s::uuid IS NULL OR p.owner_id = %(owner)s)
    ORDER BY l.due_at IS NULL, l.failing_since NULLS LAST, l.endpoint_id LIMIT %(candidates)s
),
counted AS (
    SELECT endpoint_id, sum(attempts)::bigint AS attempts, sum(delivered)::bigint AS delivered
    FROM (
        SELECT h.endpoint_id, h.attempts, h.delivered
        FROM candidates c JOIN deliveries_hourlycount h ON h.endpoint_id = c.endpoint_id
        WHERE h.hour >= %(since)s
        UNION ALL
        SELECT a.endpoint_id, 1, (a.leaves = 'delivered')::int
        FROM {counts_sql.rows_of("deliveries_countdelta")}
        WHERE a.endpoint_id IN (SELECT endpoint_id FROM candidates) AND a.started_at >= %(since)s
    ) both_tables
    GROUP BY endpoint_id
),
ranked AS MATERIALIZED (
    SELECT c.*, COALESCE(n.attempts, 0) AS attempts, COALESCE(n.attempts - n.delivered, 0) AS failed,
        waiting.count AS waiting, first.due_at AS first_due_at
    FROM candidates c
    LEFT JOIN counted n USING (endpoint_id)
    CROSS JOIN LATERAL (
        SELECT count(*) FROM (
            SELECT FROM deliveries_laneentry WHERE endpoint_id = c.endpoint_id LIMIT %(waiting)s
        ) entries
    ) waiting
    LEFT JOIN LATERAL (
        SELECT due_at FROM deliveries_laneentry WHERE endpoint_id = c.endpoint_id ORDER BY due_at LIMIT 1
    ) first ON TRUE
    ORDER BY waiting.count DESC, failed DESC, c.failing_since NULLS LAST, c.endpoint_id LIMIT %(limit)s
)
SELECT r.endpoint_id, r.owner_id, r.target, r.owner_name, r.failing_since, r.warned_at, r.open_until, r.attempts,
    r.failed, r.waiting, r.first_due_at, r.not_before, reasons.last_reason, reasons.last_status
FROM ranked r
LEFT JOIN LATERAL (
    SELECT last_reason, (array_agg(last_status ORDER BY last_attempt_at DESC))[1] AS last_status FROM (
        SELECT last_reason, last_status, last_attempt_at FROM deliveries_delivery
        WHERE endpoint_id = r.endpoint_id AND id >= %(oldest)s ORDER BY id DESC LIMIT %(newest)s
    ) newest
    WHERE last_attempt_at >= %(since)s AND last_reason <> 'delivered'
    GROUP BY last_reason ORDER BY count(*) DESC, last_reason LIMIT 1
) reasons ON TRUE
ORDER BY r.waiting DESC, r.failed DESC, r.failing_since NULLS LAST, r.endpoint_id
"""  # noqa: S608 - built from the constants of counts_sql


@dataclass(frozen=True, slots=True)
class Failing:
    """An endpoint that takes nothing. `attempts` and `failed` are of the last day.

    `reason` is the one that most of its newest deliveries failed for last, None when none of them was tried lately;
    `status` what the receiver answered then. `waiting` is a lower bound unless `is_waiting_exact`. `next_try_at` is
    None when nothing waits. `disables_at` is the earliest time at which a failure switches it off; None: never.
    """

    endpoint_id: UUID
    owner_id: UUID
    target: str
    owner_name: str
    since: datetime | None
    attempts: int
    failed: int
    reason: str | None
    status: int | None
    waiting: int
    is_waiting_exact: bool
    next_try_at: datetime | None
    disables_at: datetime | None
    open_until: datetime | None

    @property
    def public_id(self) -> str:
        return show(Prefix.ENDPOINT, self.endpoint_id)


def failing(*, now: datetime, owner_id: UUID | None = None, limit: int = 20) -> list[Failing]:
    """Those with most waiting first, then with most failures in the last day; all merchants' without an owner.

    Failing is what has taken nothing since a failure, or what the breaker holds back. One statement.
    """
    params = {
        "owner": owner_id,
        "now": now,
        "since": hour_of(now) + HOUR - DAY,
        "limit": limit,
        "candidates": CANDIDATES,
        "waiting": WAITING_MOST,
        "newest": NEWEST_MOST,
        "oldest": first_id(now, slack=-TRIED_FOR),
    }
    return [_read(row, now) for row in _rows(params)]


def disables_at(
    *, failing_since: datetime | None, warned_at: datetime | None, limit: timedelta, now: datetime
) -> datetime | None:
    """When failures switch the endpoint off, if it goes on like this: see dispatcher.streak."""
    if failing_since is None or not limit:
        return None
    warned_at = warned_at or max(now, failing_since + limit * WARN_AT)
    return max(failing_since + limit, warned_at + limit * NOTICE)


def _read(row: tuple[Any, ...], now: datetime) -> Failing:
    (endpoint_id, owner_id, target, owner, since, warned_at, open_until, *figures) = row
    attempts, failed, waiting, first_due_at, not_before, reason, status = figures
    limit = timedelta(days=settings.DISABLE_AFTER_DAYS)
    return Failing(
        endpoint_id=endpoint_id,
        owner_id=owner_id,
        target=target,
        owner_name=owner,
        since=since,
        attempts=attempts,
        failed=failed,
        reason=reason,
        status=status,
        waiting=waiting,
        is_waiting_exact=waiting < WAITING_MOST,
        next_try_at=max(first_due_at, not_before or first_due_at, now) if first_due_at else None,
        disables_at=disables_at(failing_since=since, warned_at=warned_at, limit=limit, now=now),
        open_until=open_until,
    )


def _rows(params: dict[str, Any]) -> Sequence[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(FAILING, params)
        return list(cursor.fetchall())
