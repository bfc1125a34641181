"""What can be said against an event without asking the database."""

import re
from collections.abc import Iterator, Sequence

from django.conf import settings

from deliveries.models.ledger import EXTERNAL_ID_LENGTH
from deliveries.services.new_event import NewEvent
from dispatcher.strict_json import UnreadableJson, check_json
from subscriptions.errors import FieldError, Invalid, TooLarge
from subscriptions.models.catalogue import EVENT_TYPE_LENGTH
from subscriptions.models.merchants import REFERENCE_LENGTH
from subscriptions.operational import is_reserved
from subscriptions.services.event_types import RESERVED

BATCH_EVENTS = 1000
KEY_LENGTH = 128
# Visible ASCII: the id travels in HTTP headers.
_ID_FORM = re.compile(rf"[!-~]{{1,{EXTERNAL_ID_LENGTH}}}")


def check_events(events: Sequence[NewEvent], *, are_payloads_checked: bool) -> None:
    """Raises Invalid with every fault found, or TooLarge."""
    if not 1 <= len(events) <= BATCH_EVENTS:
        raise Invalid(FieldError("/events", "wrong_length", f"A batch holds 1 to {BATCH_EVENTS} events."))
    for position, event in enumerate(events):
        if len(event.payload) > settings.PAYLOAD_MAX_BYTES:
            raise TooLarge(f"Event {position}: The payload has more than {settings.PAYLOAD_MAX_BYTES} bytes.")
    errors = [
        FieldError(f"/events/{position}/{field}", code, text)
        for position, event in enumerate(events)
        for field, code, text in _faults(event, is_payload_checked=are_payloads_checked)
    ]
    if errors:
        raise Invalid(*errors)


def _faults(event: NewEvent, *, is_payload_checked: bool) -> Iterator[tuple[str, str, str]]:
    if event.merchant is None and event.account is None:
        yield "merchant", "required", "Name the merchant, or an account that belongs to one."
    for field, text in (("merchant", event.merchant), ("account", event.account)):
        if text is not None and (not text or len(text) > REFERENCE_LENGTH or "\0" in text):
            yield field, "invalid", f"1 to {REFERENCE_LENGTH} characters."
    if len(event.type) > EVENT_TYPE_LENGTH or "\0" in event.type:
        yield "type", "unknown_event_type", "No such event type."
    elif is_reserved(event.type):
        yield "type", "reserved", RESERVED
    if event.id is not None and not _ID_FORM.fullmatch(event.id):
        yield "id", "invalid", f"1 to {EXTERNAL_ID_LENGTH} visible ASCII characters without spaces."
    if event.idempotency_key is not None:
        yield from _key_faults(event.idempotency_key)
    if event.occurred_at is not None and event.occurred_at.tzinfo is None:
        yield "occurred_at", "invalid", "A time with an offset, e.g. 2026-01-31T12:00:00Z."
    if not is_payload_checked:
        yield from _payload_faults(event.payload)


def _key_faults(key: str) -> Iterator[tuple[str, str, str]]:
    if not 1 <= len(key) <= KEY_LENGTH:
        yield "idempotency_key", "invalid", f"1 to {KEY_LENGTH} characters."
    if "\0" in key:
        yield "idempotency_key", "invalid", "An idempotency key has no control characters."


def _payload_faults(payload: bytes) -> Iterator[tuple[str, str, str]]:
    try:
        check_json(payload)
    except UnreadableJson as fault:
        yield "payload", fault.code, fault.detail
