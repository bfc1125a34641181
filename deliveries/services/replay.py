"""Sends again what was sent before: the deliveries of one event, on a merchant's or an operator's request."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction

from deliveries import id_ranges
from deliveries.doorbell import wake
from deliveries.models import Delivery, Event
from deliveries.selectors import events
from deliveries.services import lanes
from dispatcher.ids import Prefix, show
from subscriptions.errors import Conflict, NotFound
from subscriptions.models import Endpoint
from subscriptions.services import audit

RESEND = """
WITH asked AS MATERIALIZED (
    SELECT d.id, d.endpoint_id, d.status, d.next_attempt_at, d.id = ANY (l.in_flight) AS is_flying
    FROM deliveries_delivery d
    JOIN deliveries_lane l ON l.endpoint_id = d.endpoint_id
    WHERE d.id = ANY (%(deliveries)s::uuid[])
    -- Contents that are gone cannot be sent. They go under the lanes' locks, which the caller holds.
    AND (
        SELECT v.expunged_at FROM deliveries_event v
        WHERE v.id = d.event_id AND v.id BETWEEN %(low)s AND %(high)s LIMIT 1
    ) IS NULL
    ORDER BY d.id FOR NO KEY UPDATE OF d
),
begun AS (
    UPDATE deliveries_delivery d SET
        status = 'pending', finished_at = NULL,
        next_attempt_at = LEAST(a.next_attempt_at, %(now)s, statement_timestamp()),
        -- What was final or held begins its schedule anew; what is still being tried goes on with it.
        attempts_counted = CASE WHEN a.status = 'pending' THEN d.attempts_counted ELSE 0 END,
        attempts_uncounted = CASE WHEN a.status = 'pending' THEN d.attempts_uncounted ELSE 0 END
    -- Said again: the planner looks only into the days of ids that it is told.
    FROM asked a WHERE d.id = a.id AND d.id = ANY (%(deliveries)s::uuid[]) AND NOT a.is_flying
    RETURNING d.id, d.endpoint_id
),
entered AS (
    INSERT INTO deliveries_laneentry AS e (delivery_id, endpoint_id, due_at, trigger)
    -- Never later than the database's own clock: a web host whose clock is ahead must not delay what it asks for. The
    -- same for all, so that they stand in the order of their ids.
    SELECT id, endpoint_id, LEAST(%(now)s, statement_timestamp()), 'replay' FROM begun
    -- What is due already keeps its place in the lane.
    ON CONFLICT (delivery_id) DO UPDATE SET
        due_at = LEAST(e.due_at, excluded.due_at),
        trigger = CASE WHEN e.due_at > excluded.due_at THEN 'replay' ELSE e.trigger END
),
released AS (
    -- An ordered lane waits as a whole for the retry of its first delivery; a wait of any other kind goes on.
    UPDATE deliveries_lane l SET retry_at = NULL FROM asked a
    WHERE l.endpoint_id = a.endpoint_id AND NOT a.is_flying AND l.retry_at = a.next_attempt_at
)
SELECT id FROM asked
"""


@transaction.atomic
def resend(
    *, event: str, owner_id: UUID | None, endpoint_id: UUID | None = None, actor: str, now: datetime
) -> list[UUID]:
    """Make the event's deliveries due now, and return their ids. Without an owner, those of all merchants.

    1. Lock the lanes in the order of their ids, as drains and publishers do: what is in flight stays so.
    2. Delivered, failed, cancelled and held deliveries become pending with a fresh schedule. One that waits for its
       retry comes due. One that is in flight is left alone: what was asked for is happening.
    3. After the commit, ring for the lanes.

    In an ordered lane a replay stands behind all that is waiting: what it once came before has long gone.

    Without a named endpoint, endpoints that are closed are passed over. Raises NotFound for an event that the owner
    cannot see or that the named endpoint was never owed; Conflict when every endpoint that is meant is closed, or when
    the event's contents were taken away.
    """
    found = events.find(event, owner_id=owner_id)
    if found.expunged_at is not None:
        raise Conflict("The contents of this event were taken away: there is nothing to send.", code="expunged")
    owed = list(_owed(found, owner_id=owner_id, endpoint_id=endpoint_id))
    if endpoint_id is not None and not owed:
        raise NotFound("The endpoint has no delivery of this event.")
    wanted = _to_open_endpoints(owed)
    endpoints = {delivery.endpoint_id for delivery in wanted}
    resent = begin_again(delivery_ids=[delivery.id for delivery in wanted], endpoint_ids=endpoints, now=now)
    _note(found, [delivery for delivery in wanted if delivery.id in resent], actor=actor, now=now)
    return [delivery.id for delivery in wanted if delivery.id in resent]


def _owed(event: Event, *, owner_id: UUID | None, endpoint_id: UUID | None) -> Iterable[Delivery]:
    rows = events.deliveries_of(event, owner_id=owner_id)
    return rows if endpoint_id is None else rows.filter(endpoint_id=endpoint_id)


def _to_open_endpoints(owed: list[Delivery]) -> list[Delivery]:
    endpoints = Endpoint.objects.filter(id__in=[delivery.endpoint_id for delivery in owed])
    is_open = dict(endpoints.values_list("id", "is_active"))
    wanted = [delivery for delivery in owed if is_open.get(delivery.endpoint_id)]
    if owed and not wanted:
        raise Conflict("The endpoint is disabled or deleted: nothing can be sent there.", code="endpoint_closed")
    return wanted


def begin_again(*, delivery_ids: Collection[UUID], endpoint_ids: Collection[UUID], now: datetime) -> set[UUID]:
    """For services, within their transaction: make these deliveries of these endpoints due now, as `resend` says."""
    if not delivery_ids:
        return set()
    lanes.need(endpoint_ids)
    lanes.lock(endpoint_ids)
    # Who asks for it by hand has a reason to think that it will be taken.
    lanes.probe_now(endpoint_ids, now=now)
    with connection.cursor() as cursor:
        within = id_ranges.of_all(delivery_ids).params
        cursor.execute(RESEND, {"deliveries": list(delivery_ids), "now": now, **within})
        resent = {delivery_id for (delivery_id,) in cursor.fetchall()}
    transaction.on_commit(lambda: wake(endpoint_ids))
    return resent


def _note(event: Event, resent: Iterable[Delivery], *, actor: str, now: datetime) -> None:
    """One entry in the log of each merchant whose endpoints get something."""
    by_owner: defaultdict[UUID, list[str]] = defaultdict(list)
    for delivery in resent:
        by_owner[delivery.owner_id].append(delivery.public_id)
    for owner_id, deliveries in by_owner.items():
        audit.note(
            actor=actor,
            action="event.resent",
            target=show(Prefix.EVENT, event.id),
            merchant_id=owner_id,
            detail={"deliveries": deliveries},
            now=now,
        )
