"""Reads what providers publish: strictly, and without touching the bytes of a payload.

1. `check_json` refuses, once for the whole body, all that could not be stored or read again; payloads are parts of it.
2. msgspec takes the members apart and hands out each payload as the very bytes that were sent.
3. Only when that fails, the shapes below say what is wrong, all of it, each fault with its pointer.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from deliveries.services import NewEvent
from deliveries.services.publish_checks import BATCH_EVENTS
from subscriptions.api import bodies
from subscriptions.errors import FieldError, Invalid
from subscriptions.services import shapes

Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class EventBody(msgspec.Struct, forbid_unknown_fields=True):
    """One event of `POST /events`."""

    type: str
    payload: msgspec.Raw
    merchant: str | None = None
    account: str | None = None
    id: str | None = None
    occurred_at: Moment | None = None


class BatchedEventBody(EventBody, forbid_unknown_fields=True):
    """One event of `POST /events/batch`, which may carry its own key."""

    idempotency_key: str | None = None


class BatchBody(msgspec.Struct, forbid_unknown_fields=True):
    events: list[BatchedEventBody]


_decode_event = msgspec.json.Decoder(EventBody).decode
_decode_batch = msgspec.json.Decoder(BatchBody).decode


def read_event(raw: bytes, *, idempotency_key: str | None) -> NewEvent:
    """The event in a body that holds one. Raises ParseError (400) or Invalid."""
    value = bodies.parse(raw)
    try:
        return _new_event(_decode_event(raw), idempotency_key)
    except (msgspec.ValidationError, OverflowError):
        raise _refusal(_event_faults(value)) from None


def read_batch(raw: bytes) -> list[NewEvent]:
    """The events of a batch, in order. Raises ParseError (400) or Invalid."""
    value = bodies.parse(raw)
    try:
        return [_new_event(event, event.idempotency_key) for event in _decode_batch(raw).events]
    except (msgspec.ValidationError, OverflowError):
        raise _refusal(_batch_faults(value)) from None


def _new_event(body: EventBody, idempotency_key: str | None) -> NewEvent:
    occurred_at = body.occurred_at and body.occurred_at.astimezone(UTC)
    return NewEvent(body.type, bytes(body.payload), body.merchant, body.account, body.id, occurred_at, idempotency_key)


def _refusal(faults: Sequence[FieldError]) -> Invalid:
    # Reader and shapes agree; were they ever not to, the request is still refused.
    return Invalid(*(faults or [FieldError("", "invalid", "The body has not the form of this route.")]))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise shapes.wrong("wrong_type", "This must be a text.")
    return value


def _moment(value: Any) -> datetime:
    try:
        return msgspec.convert(_text(value), Moment).astimezone(UTC)
    except (msgspec.ValidationError, OverflowError):
        raise shapes.wrong("invalid_time", "This must be a time such as 2026-01-31T12:00:00Z.") from None


EVENT: shapes.Shape = {
    "type": _text,
    "payload": shapes.anything,
    "merchant": shapes.nullable(_text),
    "account": shapes.nullable(_text),
    "id": shapes.nullable(_text),
    "occurred_at": shapes.nullable(_moment),
}
BATCHED_EVENT: shapes.Shape = {**EVENT, "idempotency_key": shapes.nullable(_text)}
_BATCH: shapes.Shape = {"events": shapes.anything}


def _event_faults(value: Any, shape: shapes.Shape = EVENT) -> list[FieldError]:
    if not isinstance(value, dict):
        return [FieldError("", "wrong_type", "This must be an object.")]
    return shapes.read(value, shape, required=("type", "payload"))[1]


def _batch_faults(value: Any) -> list[FieldError]:
    if not isinstance(value, dict):
        return _event_faults(value)
    faults = shapes.read(value, _BATCH, required=("events",))[1]
    events = value.get("events", [])
    if not isinstance(events, list):
        return [*faults, FieldError("/events", "wrong_type", "This must be a list.")]
    if len(events) > BATCH_EVENTS:
        return [*faults, FieldError("/events", "wrong_length", f"A batch holds 1 to {BATCH_EVENTS} events.")]
    for position, event in enumerate(events):
        if len(faults) >= shapes.MOST_FAULTS:
            break
        found = _event_faults(event, BATCHED_EVENT)
        faults += [replace(fault, pointer=f"/events/{position}{fault.pointer}") for fault in found]
    return faults
