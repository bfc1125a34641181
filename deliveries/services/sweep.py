"""Finds the lanes that a crash or a lost doorbell left asleep, and wakes them."""

from uuid import UUID

from django.db import connection

from deliveries.doorbell import wake
from deliveries.services import lanes
from subscriptions.killpoints import reached

ASLEEP = """
WITH RECURSIVE first AS (
    -- The first entry of each lane, from lane to lane through the index: most lanes have none and are not looked at.
    (SELECT endpoint_id, due_at FROM deliveries_laneentry ORDER BY endpoint_id, due_at LIMIT 1)
    UNION ALL
    SELECT next.endpoint_id, next.due_at FROM first CROSS JOIN LATERAL (
        SELECT e.endpoint_id, e.due_at FROM deliveries_laneentry e
        WHERE e.endpoint_id > first.endpoint_id ORDER BY e.endpoint_id, e.due_at LIMIT 1
    ) next
),
resting AS MATERIALIZED (
    SELECT l.endpoint_id, l.due_at, GREATEST(first.due_at, l.not_before) AS should_be_due_at
    FROM first JOIN deliveries_lane l USING (endpoint_id)
    WHERE l.lease_token IS NULL AND (l.due_at IS NULL OR l.due_at > clock_timestamp())
)
SELECT r.endpoint_id FROM resting r JOIN subscriptions_endpoint p ON p.id = r.endpoint_id
-- The publisher died between its commit and the doorbell.
WHERE r.due_at IS NULL OR r.due_at > r.should_be_due_at
-- The endpoint was closed while deliveries waited for a later retry: they are held or cancelled now.
OR NOT p.is_active OR p.deleted_at IS NOT NULL
"""

CLOSED = """
WITH closed AS MATERIALIZED (
    SELECT l.endpoint_id FROM deliveries_lane l JOIN subscriptions_endpoint p ON p.id = l.endpoint_id
    WHERE l.lease_token IS NULL AND (NOT p.is_active OR p.deleted_at IS NOT NULL)
    -- As the index has it.
    AND (l.retry_at IS NOT NULL OR l.open_until IS NOT NULL OR l.failing_since IS NOT NULL)
    ORDER BY l.endpoint_id FOR NO KEY UPDATE OF l
)
UPDATE deliveries_lane l SET retry_at = NULL, open_until = NULL, open_s = 0,
    half_started_at = NULL, attempts = 0, failures = 0, earlier_attempts = 0, earlier_failures = 0,
    failing_since = NULL, warned_at = NULL
FROM closed WHERE l.endpoint_id = closed.endpoint_id
"""


def sweep() -> list[UUID]:
    """Wake every lane that has work and does not know it. Idempotent. Returns the lanes that were woken.

    A lane that waits as a whole and was closed meanwhile waits no longer: there is nothing to send, only to settle. And
    it starts anew when it is opened again, also where no drain has looked at it in between.

    Lanes whose holder died need no repair: their lease is their due time.
    """
    with connection.cursor() as cursor:
        cursor.execute(CLOSED)
    lanes.forget_order()
    with connection.cursor() as cursor:
        cursor.execute(ASLEEP)
        asleep = [endpoint_id for (endpoint_id,) in cursor.fetchall()]
    if asleep:
        reached("sweep.found")
        wake(asleep)
    return asleep
