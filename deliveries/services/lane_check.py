"""Finds what should not be: a pending delivery that stands in no lane, and an entry of a delivery that is not pending.

Every transaction writes both or neither, so only rows that were changed behind this app's back, or a fault in it, make
them differ. The first would wait for ever, the second be sent again. There is no index for it, by design: the whole log
is read, step by step. That is for an operator to begin, after such a change.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from deliveries.doorbell import wake
from deliveries.services import lanes
from dispatcher.ids import Prefix, show

logger = logging.getLogger(__name__)

STEP_ROWS = 20_000
# Read in one statement: some tens of milliseconds, and nothing is locked meanwhile.
NIL = UUID(int=0)

FIND_LOST = """
WITH step AS MATERIALIZED (
    SELECT id, endpoint_id, status FROM deliveries_delivery WHERE id > %(after)s ORDER BY id LIMIT %(rows)s
),
lost AS (
    SELECT id, endpoint_id FROM step s WHERE status = 'pending'
    AND NOT EXISTS (SELECT FROM deliveries_laneentry e WHERE e.delivery_id = s.id)
)
SELECT (SELECT id FROM step ORDER BY id DESC LIMIT 1), ARRAY(SELECT id FROM lost ORDER BY id),
    ARRAY(SELECT DISTINCT endpoint_id FROM lost)
"""

FIND_STRAY = """
WITH step AS MATERIALIZED (
    SELECT delivery_id, endpoint_id FROM deliveries_laneentry WHERE delivery_id > %(after)s
    ORDER BY delivery_id LIMIT %(rows)s
),
stray AS (
    SELECT delivery_id, endpoint_id FROM step s
    -- One by one: as a join it would read every day that is kept.
    WHERE (SELECT d.status FROM deliveries_delivery d WHERE d.id = s.delivery_id LIMIT 1) IS DISTINCT FROM 'pending'
)
SELECT (SELECT delivery_id FROM step ORDER BY delivery_id DESC LIMIT 1),
    ARRAY(SELECT delivery_id FROM stray ORDER BY delivery_id), ARRAY(SELECT DISTINCT endpoint_id FROM stray)
"""

# Both look again: what was found may have changed until its lane was locked.
ENTER_LOST = """
INSERT INTO deliveries_laneentry (delivery_id, endpoint_id, due_at, trigger)
SELECT id, endpoint_id, next_attempt_at, CASE WHEN attempts_made = 0 THEN 'event' ELSE 'retry' END
FROM deliveries_delivery WHERE id = ANY (%(ids)s::uuid[]) AND status = 'pending'
ON CONFLICT DO NOTHING
RETURNING delivery_id
"""

DROP_STRAY = """
DELETE FROM deliveries_laneentry e WHERE delivery_id = ANY (%(ids)s::uuid[])
AND (SELECT d.status FROM deliveries_delivery d WHERE d.id = e.delivery_id LIMIT 1) IS DISTINCT FROM 'pending'
RETURNING delivery_id
"""


@dataclass(slots=True)
class Repairs:
    """The deliveries that were put back into their lanes, and those whose entries were taken out."""

    entered: list[UUID] = field(default_factory=list)
    dropped: list[UUID] = field(default_factory=list)


def check() -> Repairs:
    """Read all deliveries and all entries, put right what differs, and say so as an error in the log. Idempotent, and
    harmless beside everything else."""
    return Repairs(_walk(FIND_LOST, _enter), _walk(FIND_STRAY, _drop))


def _walk(find: str, repair: Callable[[list[UUID], list[UUID]], list[UUID]]) -> list[UUID]:
    repaired: list[UUID] = []
    after: UUID | None = NIL
    while after is not None:
        with connection.cursor() as cursor:
            cursor.execute(find, {"after": after, "rows": STEP_ROWS})
            after, ids, endpoint_ids = cursor.fetchone()
        if ids:
            repaired += repair(ids, endpoint_ids)
    return repaired


def _enter(ids: list[UUID], endpoint_ids: list[UUID]) -> list[UUID]:
    with transaction.atomic():
        lanes.need(endpoint_ids)
        lanes.lock(endpoint_ids)
        entered = _write(ENTER_LOST, {"ids": ids})
    _alert("pending deliveries stood in no lane and were put back", entered)
    wake(endpoint_ids)
    return entered


def _drop(ids: list[UUID], endpoint_ids: list[UUID]) -> list[UUID]:
    with transaction.atomic():
        lanes.lock(endpoint_ids)
        dropped = _write(DROP_STRAY, {"ids": ids})
    _alert("lane entries belonged to no pending delivery and were taken out", dropped)
    return dropped


def _write(statement: str, params: dict[str, Any]) -> list[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return [found for (found,) in cursor.fetchall()]


def _alert(what: str, ids: list[UUID]) -> None:
    if ids:
        logger.error("%d %s, the first is %s", len(ids), what, show(Prefix.DELIVERY, ids[0]))
