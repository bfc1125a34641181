"""Finds deliveries by what somebody typed: an id of any kind, its beginning, or the provider's own id of the event."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

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
            return Search("delivery", _of(Prefix.DELIVERY, "id", text))
        case Prefix.EVENT:
            condition = _of(Prefix.EVENT, "event_id", text)
            return Search("event", condition if condition is not NOTHING else _external(text))
        case Prefix.ATTEMPT:
            return Search("attempt", _of_attempt(text))
        case Prefix.ENDPOINT:
            return Search("endpoint", _of_endpoint(text, owner_id))
        case _:
            return Search("event", _external(text))


def _of(prefix: Prefix, column: str, text: str) -> Condition:
    try:
        return {column: parse(prefix, text)}
    except InvalidId:
        pass
    try:
        first, last = range_of(prefix, text)
    except InvalidId:
        return NOTHING
    return {f"{column}__range": (first, last)}


def _external(text: str) -> Condition:
    found = Event.objects.filter(external_id=text).order_by("-id").values_list("id", flat=True)
    return {"event_id__in": list(found[:EVENTS_MOST])}


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
