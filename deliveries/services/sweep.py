"""Finds the lanes that a crash or a lost doorbell left asleep, and wakes them."""

from uuid import UUID

from django.db import connection

from deliveries.doorbell import wake
from deliveries.services import lanes
from subscriptions.killpoints import reached

ASLEEP = """
SELECT l.endpoint_id FROM deliveries_lane l JOIN subscriptions_endpoint p ON p.id = l.endpoint_id
CROSS JOIN LATERAL (
    SELECT e.due_at FROM deliveries_laneentry e WHERE e.endpoint_id = l.endpoint_id ORDER BY e.due_at LIMIT 1
) first
WHERE l.lease_token IS NULL
AND (
    -- The publisher died between its commit and the doorbell.
    l.due_at IS NULL OR l.due_at > GREATEST(first.due_at, l.not_before, clock_timestamp())
    -- The endpoint was closed while deliveries waited for a later retry: they are held or cancelled now.
    OR ((NOT p.is_active OR p.deleted_at IS NOT NULL) AND l.due_at > clock_timestamp())
)
"""


CLOSED = """
WITH closed AS MATERIALIZED (
    SELECT l.endpoint_id FROM deliveries_lane l JOIN subscriptions_endpoint p ON p.id = l.endpoint_id
    WHERE l.lease_token IS NULL AND (NOT p.is_active OR p.deleted_at IS NOT NULL)
    AND (l.not_before > clock_timestamp() OR l.open_until IS NOT NULL OR l.failing_since IS NOT NULL)
    ORDER BY l.endpoint_id FOR NO KEY UPDATE OF l
)
UPDATE deliveries_lane l SET not_before = paced_until, retry_at = NULL, open_until = NULL, open_s = 0,
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
