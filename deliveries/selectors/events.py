"""Reads one event with its deliveries and attempts, as far as the asking merchant may see them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from deliveries.models import Attempt, Delivery, Event
from dispatcher.ids import InvalidId, Prefix, parse
from subscriptions.errors import NotFound

ATTEMPTS_SHOWN = 200
# The newest of one event. Each may hold 16 KiB of answer; replays know no bound.


@dataclass(frozen=True, slots=True)
class EventDetail:
    """An event, its deliveries by age, and for each of them its attempts by number."""

    event: Event
    deliveries: list[Delivery]
    attempts: dict[UUID, list[Attempt]]


def find(named: str, *, owner_id: UUID | None) -> Event:
    """The event with this id, ours or the provider's own. Raises NotFound.

    A merchant sees its own events and those that were owed to one of its endpoints; without an owner all are seen.
    """
    for event in _named(named, owner_id):
        return event
    raise NotFound("There is no such event.")


def _named(named: str, owner_id: UUID | None) -> QuerySet[Event]:
    """Once the provider's id is forgotten as a key it may come again: then the newest is meant."""
    rows = Event.objects.order_by("-id")
    if owner_id is not None:
        owed = Delivery.objects.filter(event_id=OuterRef("id"), owner_id=owner_id)
        rows = rows.filter(Q(merchant_id=owner_id) | Exists(owed))
    try:
        return rows.filter(Q(id=parse(Prefix.EVENT, named)) | Q(external_id=named))[:1]
    except InvalidId:
        return rows.filter(external_id=named)[:1]


def deliveries_of(event: Event, *, owner_id: UUID | None) -> QuerySet[Delivery]:
    rows = Delivery.objects.filter(event_id=event.id).order_by("id")
    return rows if owner_id is None else rows.filter(owner_id=owner_id)


def detail(named: str, *, owner_id: UUID) -> EventDetail:
    """Three statements. Raises NotFound."""
    event = find(named, owner_id=owner_id)
    owed = list(deliveries_of(event, owner_id=owner_id))
    return EventDetail(event, owed, _attempts([delivery.id for delivery in owed]))


def _attempts(delivery_ids: Sequence[UUID]) -> dict[UUID, list[Attempt]]:
    newest = Attempt.objects.filter(delivery_id__in=delivery_ids).order_by("-id")[:ATTEMPTS_SHOWN]
    by_delivery: defaultdict[UUID, list[Attempt]] = defaultdict(list)
    for attempt in sorted(newest, key=lambda attempt: attempt.number):
        by_delivery[attempt.delivery_id].append(attempt)
    return by_delivery
