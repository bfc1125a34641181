"""Reads one event with its deliveries and attempts, as far as the asking merchant may see them."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Exists, Q, QuerySet

from deliveries import id_ranges
from deliveries.models import Attempt, Delivery, Event
from dispatcher.ids import InvalidId, Prefix, parse
from subscriptions.errors import NotFound

ATTEMPTS_SHOWN = 200
# The newest of one event. Each may hold 16 KiB of answer; replays know no bound.
MOST_OF_ONE_ID = 20
# A provider's id may come again once its key has expired; more than a few would be a provider's mistake.


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
    for event_id in _named(named):
        for event in _seen_by(event_id, owner_id):
            return event
    raise NotFound("There is no such event.")


def _named(named: str) -> Iterator[UUID]:
    """Our own id, or once more the provider's: forgotten as a key it may come again, and then the newest is meant."""
    with suppress(InvalidId):
        yield parse(Prefix.EVENT, named)
    known = Event.objects.filter(external_id=named).order_by("-id").values_list("id", flat=True)
    yield from known[:MOST_OF_ONE_ID]


def _seen_by(event_id: UUID, owner_id: UUID | None) -> QuerySet[Event]:
    rows = Event.objects.filter(id=event_id)
    if owner_id is None:
        return rows
    return rows.filter(Q(merchant_id=owner_id) | Exists(owed(event_id).filter(owner_id=owner_id)))


def owed(event_id: UUID) -> QuerySet[Delivery]:
    """The deliveries of an event, looked for in its own day only."""
    within = id_ranges.of_event(event_id)
    return Delivery.objects.filter(event_id=event_id, id__gte=within.low, id__lte=within.high)


def owed_for(event_ids: Collection[UUID]) -> Q:
    """Says of deliveries that they are those of these events, which are looked for from the oldest one's day to the
    newest one's."""
    within = id_ranges.of_all(event_ids)
    return Q(event_id__in=list(event_ids), id__range=(within.low, within.high))


def deliveries_of(event: Event, *, owner_id: UUID | None) -> QuerySet[Delivery]:
    rows = owed(event.id).order_by("id")
    return rows if owner_id is None else rows.filter(owner_id=owner_id)


def detail(named: str, *, owner_id: UUID) -> EventDetail:
    """Three statements, one more for the provider's own id. Raises NotFound."""
    event = find(named, owner_id=owner_id)
    rows = list(deliveries_of(event, owner_id=owner_id))
    return EventDetail(event, rows, _attempts([delivery.id for delivery in rows]))


def _attempts(delivery_ids: Sequence[UUID]) -> dict[UUID, list[Attempt]]:
    newest = Attempt.objects.filter(delivery_id__in=delivery_ids).order_by("-id")[:ATTEMPTS_SHOWN]
    by_delivery: defaultdict[UUID, list[Attempt]] = defaultdict(list)
    for attempt in sorted(newest, key=lambda attempt: attempt.number):
        by_delivery[attempt.delivery_id].append(attempt)
    return by_delivery
