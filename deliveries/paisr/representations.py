"""How webhooks and their events look to a Paisr client."""

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec

from deliveries.models import Delivery, Event
from deliveries.paisr import bodies
from deliveries.selectors.statistics import Scope, Statistics
from dispatcher.ids import Prefix, show
from dispatcher.profiles.bodies import compile_body
from dispatcher.profiles.catalogue import PROFILES
from dispatcher.profiles.frame import BytesGetter, Frame, Message
from subscriptions.models import Endpoint

Shown = dict[str, Any]

STATUS: Mapping[str, str] = {
    Delivery.Status.PENDING: "pending",
    Delivery.Status.DELIVERED: "succeeded",
    Delivery.Status.FAILED: "failed",
    Delivery.Status.HELD: "held",
    Delivery.Status.CANCELLED: "cancelled",
}
# Paisr publishes that there is a status, not its words: these are our choice.


def webhook(row: Endpoint) -> Shown:
    """`version` is that of the signature; the object's own is in its ETag."""
    return {
        "id": row.public_id,
        "description": row.description,
        "endpoint": row.target,
        "events": bodies.ALL if row.event_types is None else row.event_types,
        "version": bodies.version_of(row.profile),
        "is_active": row.is_active,
        "disabled_reason": row.disabled_reason or None,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }


def events(rows: Collection[Delivery], endpoint: Endpoint) -> list[Shown]:
    """One statement for all the events."""
    found = Event.objects.filter(id__in=[row.event_id for row in rows])
    known: dict[UUID, Event] = {event.id: event for event in found}
    return [_event(row, known[row.event_id], endpoint) for row in rows if row.event_id in known]


def _event(row: Delivery, event: Event, endpoint: Endpoint) -> Shown:
    """The first attempt is no retry: its time is neither the last retry's nor the next one's."""
    retries = max(0, row.attempts_made - 1)
    return {
        "id": event.public_id,
        "body": _body(row, event, endpoint),
        "status": STATUS[row.status],
        "type": row.event_type,
        "can_retry": endpoint.is_active,
        "retry_count": retries,
        "last_retry_at": row.last_attempt_at if retries else None,
        "next_retry_at": row.next_attempt_at if row.attempts_made else None,
        "created_at": row.created_at,
    }


def stats(scope: Scope, found: Statistics) -> Shown:
    """Of the events that came to an end; the ratios are null when none did. The window is in whole hours."""
    success = found.totals.success_ratio
    return {
        "since": scope.since,
        "until": scope.until,
        "delivered": found.totals.delivered,
        "failed": found.totals.failed,
        "success_ratio": None if success is None else round(success, 6),
        "failure_ratio": None if success is None else round(1 - success, 6),
        "pending": found.pending.count,
    }


def _body(row: Delivery, event: Event, endpoint: Endpoint) -> msgspec.Raw | None:
    """As it goes on the wire, byte for byte. Every payload has one: the event's own id stands in for a missing one.
    None once its contents were taken away."""
    if event.expunged_at is not None:
        return None
    message = Message(
        event_id=event.public_id,
        event_type=event.type,
        payload=bytes(event.payload),
        occurred_at=event.occurred_at,
        account=event.account,
        merchant=show(Prefix.MERCHANT, event.merchant_id),
        delivery_id=row.public_id,
        attempt=max(1, row.attempts_made),
        now=row.last_attempt_at or row.created_at,
    )
    return msgspec.Raw(_renderer(endpoint.profile)(Frame(message)))


@lru_cache(maxsize=len(bodies.PROFILES))
def _renderer(profile: str) -> BytesGetter:
    return compile_body(PROFILES[profile].body, ())
