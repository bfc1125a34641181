"""Deletes the events of merchants whose log is kept for a shorter time than everybody's, and old requests for files and
for contents to be taken away."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from deliveries import id_ranges
from deliveries.models import Export, Expunge
from deliveries.services.publish import EVENT_ID_SCOPE
from dispatcher.ids import first_id
from subscriptions.models import Merchant

EVENTS_A_STEP = 1_000
# A step is one transaction of a fraction of a second; its rows' locks meet at most a replay of the same old event.
FIRST_ID = UUID(int=0)

PICK_EVENTS = """
-- The planner must not know which merchant it is: where it expects few events, it reads and sorts them all.
SELECT e.id FROM unnest(ARRAY[%(merchant)s::uuid]) AS m (id) CROSS JOIN LATERAL (
    SELECT v.id FROM deliveries_event v
    -- As pairs, which only the merchants' index can give in order.
    WHERE (v.merchant_id, v.id) > (m.id, %(after)s) AND (v.merchant_id, v.id) < (m.id, %(end)s)
    -- Says which days are meant: the planner does not read that from pairs.
    AND v.id > %(after)s AND v.id < %(end)s
    AND v.created_at < %(before)s
    ORDER BY v.merchant_id, v.id LIMIT %(limit)s
) e
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
WITH gone AS (
    DELETE FROM deliveries_event e
    WHERE e.id = ANY (%(events)s::uuid[])
    AND NOT EXISTS (SELECT FROM deliveries_delivery d WHERE d.event_id = e.id AND d.id BETWEEN %(low)s AND %(high)s)
    RETURNING id, external_id
),
freed AS (
    -- The ids that providers choose are taken for as long as the events themselves are there.
    DELETE FROM deliveries_idempotencykey k USING gone g
    WHERE k.scope = %(scope)s AND k.key = g.external_id AND k.event_id = g.id
)
SELECT count(*) FROM gone
"""


@dataclass(frozen=True, slots=True)
class Purged:
    """What one step deleted."""

    events: int = 0
    deliveries: int = 0
    attempts: int = 0

    def __add__(self, other: "Purged") -> "Purged":
        return Purged(self.events + other.events, self.deliveries + other.deliveries, self.attempts + other.attempts)


def purge(*, now: datetime) -> Iterator[Purged]:
    """Delete what is older than its merchant's `retention_days`, oldest first, step by step, deleted merchants
    included; then the requests that are older than everybody's log.

    An event goes with its deliveries and attempts, also with those to endpoints of portfolios and resellers above its
    merchant, or stays whole: as long as one of its deliveries is pending, or was tried in that time. The hourly counts
    stay: they tell how many, not what.
    """
    shorter = Merchant.objects.filter(retention_days__lt=settings.RETENTION_DAYS)
    for merchant_id, days in shorter.order_by("id").values_list("id", "retention_days"):
        yield from _purge_merchant(merchant_id, before=now - timedelta(days=days or settings.RETENTION_DAYS))
    oldest = now - timedelta(days=settings.RETENTION_DAYS)
    Expunge.objects.filter(status=Expunge.Status.FINISHED, created_at__lt=oldest).delete()
    Export.objects.exclude(status=Export.Status.RUNNING).filter(created_at__lt=oldest).delete()


def counted_since(*, now: datetime) -> datetime:
    """From then on every attempt is still there to be counted again, whoever's it is."""
    days = Merchant.objects.filter(retention_days__lt=settings.RETENTION_DAYS).order_by("retention_days")
    shortest = days.values_list("retention_days", flat=True).first()
    return now - timedelta(days=shortest or settings.RETENTION_DAYS)


def _purge_merchant(merchant_id: UUID, *, before: datetime) -> Iterator[Purged]:
    last: UUID | None = FIRST_ID
    while last is not None:
        last, purged = _step(merchant_id, after=last, before=before)
        if purged.events:
            yield purged


@transaction.atomic
def _step(merchant_id: UUID, *, after: UUID, before: datetime) -> tuple[UUID | None, Purged]:
    """One step: up to which id it came, None at the end, and what it deleted."""
    params: dict[str, Any] = {"merchant": merchant_id, "after": after, "end": first_id(before), "before": before}
    with connection.cursor() as cursor:
        cursor.execute(PICK_EVENTS, params | {"limit": EVENTS_A_STEP})
        events = [event_id for (event_id,) in cursor.fetchall()]
        if not events:
            return None, Purged()
        within = id_ranges.of_all(events).params
        cursor.execute(DELETE_DELIVERIES, {"events": events, "before": before, **within})
        deliveries, attempts = cursor.fetchone()
        cursor.execute(DELETE_EVENTS, {"events": events, "scope": EVENT_ID_SCOPE, **within})
        return max(events), Purged(cursor.fetchone()[0], deliveries, attempts)
