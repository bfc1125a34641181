"""Lanes from outside of the engine: made where they are missing, locked in order, let out of waits that are over."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from dispatcher.window import INITIAL_SIZE

NEED = """
INSERT INTO deliveries_lane (endpoint_id, in_flight, "window", is_suspect)
SELECT endpoint_id, '{}'::uuid[], %(window)s, FALSE FROM unnest(%(endpoints)s::uuid[]) AS n (endpoint_id)
ORDER BY endpoint_id
ON CONFLICT DO NOTHING
"""

LOCK = """
SELECT FROM deliveries_lane WHERE endpoint_id = ANY (%(endpoints)s::uuid[]) ORDER BY endpoint_id FOR NO KEY UPDATE
"""

PROBE_NOW = """
WITH held_back AS MATERIALIZED (
    SELECT endpoint_id FROM deliveries_lane
    WHERE endpoint_id = ANY (%(endpoints)s::uuid[]) AND open_until > %(now)s
    ORDER BY endpoint_id FOR NO KEY UPDATE
)
UPDATE deliveries_lane l SET open_until = %(now)s
FROM held_back h WHERE l.endpoint_id = h.endpoint_id
"""

FORGET_ORDER = """
WITH torn AS MATERIALIZED (
    SELECT l.endpoint_id FROM deliveries_lane l JOIN subscriptions_endpoint p ON p.id = l.endpoint_id
    WHERE l.retry_at > clock_timestamp() AND NOT p.ordered
    AND (%(endpoints)s::uuid[] IS NULL OR l.endpoint_id = ANY (%(endpoints)s::uuid[]))
    ORDER BY l.endpoint_id FOR NO KEY UPDATE OF l
)
UPDATE deliveries_lane l SET retry_at = NULL
FROM torn t WHERE l.endpoint_id = t.endpoint_id
"""


def need(endpoint_ids: Collection[UUID]) -> None:
    """Make the lanes that these endpoints do not have yet."""
    _run(NEED, {"endpoints": list(endpoint_ids), "window": INITIAL_SIZE})


def lock(endpoint_ids: Collection[UUID]) -> None:
    """Within a transaction: the lanes, in the order in which drains and publishers lock them."""
    _run(LOCK, {"endpoints": list(endpoint_ids)})


def probe_now(endpoint_ids: Collection[UUID], *, now: datetime) -> None:
    """Let lanes whose breaker is open send their probe at once. A wait of any other kind goes on."""
    _run(PROBE_NOW, {"endpoints": list(endpoint_ids), "now": now})


def forget_order(endpoint_ids: Collection[UUID] | None = None) -> None:
    """Lanes, all or these, whose endpoints want no order any more: they need not wait for their first delivery."""
    _run(FORGET_ORDER, {"endpoints": None if endpoint_ids is None else list(endpoint_ids)})


def _run(sql: str, params: dict[str, Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
