"""Finds deliveries by what somebody typed: an id of any kind, its beginning, or the provider's own id of the event."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from deliveries import id_ranges
from deliveries.models import Attempt, Delivery, Event
from dispatcher.ids import InvalidId, Prefix, parse, range_of
from subscriptions.models import Endpoint

FOUND_MOST = 200
# Deliveries that one search answers with.
EVENTS_MOST = 50
# Events that one beginning of an id, or one id of the provider's, is followed to.

Condition = Mapping[str, object]
NOTHING: Condition = {"id__in": ()}


@dataclass(frozen=True, slots=True)
class Search:
    """What a text means. `condition` is for Delivery rows, `kind` names what it was taken for."""

    kind: str
    condition: Condition


def understand(text: str, *, owner_id: UUID) -> Search:
    """At most one statement; each reads a short range of one index."""
    head = text.partition("_")[0]
    match head:
        case Prefix.DELIVERY:
            span = _span(Prefix.DELIVERY, text)
            return Search("delivery", {"id__range": span} if span else NOTHING)
        case Prefix.EVENT:
            span = _span(Prefix.EVENT, text)
            return Search("event", _of_events(*span) if span else _external(text))
        case Prefix.ATTEMPT:
            return Search("attempt", _of_attempt(text))
        case Prefix.ENDPOINT:
            return Search("endpoint", _of_endpoint(text, owner_id))
        case _:
            return Search("event", _external(text))


def _span(prefix: Prefix, text: str) -> tuple[UUID, UUID] | None:
    """The first and the last id that is meant: of a whole id itself, of its beginning a short range."""
    try:
        return range_of(prefix, text)
    except InvalidId:
        return None


def _of_events(first: UUID, last: UUID) -> Condition:
    within = id_ranges.of_all([first, last])
    return {"event_id__range": (first, last), "id__range": (within.low, within.high)}


def _external(text: str) -> Condition:
    found = list(Event.objects.filter(external_id=text).order_by("-id").values_list("id", flat=True)[:EVENTS_MOST])
    if not found:
        return NOTHING
    within = id_ranges.of_all(found)
    return {"event_id__in": found, "id__range": (within.low, within.high)}


def _of_attempt(text: str) -> Condition:
    try:
        attempt_id = parse(Prefix.ATTEMPT, text)
    except InvalidId:
        return NOTHING
    return {"id__in": list(Attempt.objects.filter(id=attempt_id).values_list("delivery_id", flat=True))}


def _of_endpoint(text: str, owner_id: UUID) -> Condition:
    try:
        endpoint_id = parse(Prefix.ENDPOINT, text)
    except InvalidId:
        return NOTHING
    return (
        {"endpoint_id": endpoint_id} if Endpoint.objects.filter(id=endpoint_id, owner_id=owner_id).exists() else NOTHING
    )


def find(text: str, *, owner_id: UUID) -> list[UUID]:
    """The ids of the owner's deliveries that the text means, newest first."""
    search = understand(text, owner_id=owner_id)
    if search.condition is NOTHING:
        return []
    rows = Delivery.objects.filter(owner_id=owner_id, **search.condition).order_by("-id")
    return list(rows.values_list("id", flat=True)[:FOUND_MOST])
