"""Publishes events: one, or a batch that is taken whole or not at all."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from dispatcher.client.calling import Caller, moment, raw_json
from dispatcher.client.fields import NewEvent
from dispatcher.client.results import Accepted, AcceptedBatch


class Publishing:
    """`provider.events`"""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def publish(
        self,
        event_type: str,
        payload: Any,
        *,
        merchant: str | None = None,
        account: str | None = None,
        event_id: str | None = None,
        occurred_at: datetime | None = None,
        idempotency_key: str | None = None,
    ) -> Accepted:
        """Publish one event for a merchant, or for the account that leads to one.

        `payload` is any JSON value; bytes that are JSON already reach the merchant byte for byte. A retry never makes
        a second event. To be safe against crashes of your own as well, give an `idempotency_key` that you would give
        again. Raises ApiError or NetworkError, and BadInput for bytes that are not JSON.
        """
        event = NewEvent(
            type=event_type,
            payload=payload,
            merchant=merchant,
            account=account,
            id=event_id,
            occurred_at=occurred_at,
        )
        return self._caller.post("/events", Accepted, _body(event), idempotency_key=idempotency_key)

    def publish_batch(self, events: Iterable[NewEvent], *, idempotency_key: str | None = None) -> list[Accepted]:
        """Publish up to 1,000 events at once, all of them or none; the answers are in their order."""
        body = {"events": [_body(event) for event in events]}
        return self._caller.post("/events/batch", AcceptedBatch, body, idempotency_key=idempotency_key).events


def _body(event: NewEvent) -> dict[str, Any]:
    named = {
        "merchant": event.merchant,
        "account": event.account,
        "id": event.id,
        "occurred_at": moment(event.occurred_at),
        "idempotency_key": event.idempotency_key,
    }
    given = {name: value for name, value in named.items() if value is not None}
    return {"type": event.type, "payload": raw_json(event.payload), **given}
