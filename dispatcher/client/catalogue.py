"""The catalogue of event types, and the provider's public keys."""

from collections.abc import Iterator
from typing import Unpack

from dispatcher.client.calling import PAGE_SIZE, Caller, segment
from dispatcher.client.fields import EventTypeFields
from dispatcher.client.results import EventType, PublicKey, SampledEventType


class OfferedTypes:
    """`merchant.event_types`: what there is to choose from."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def list(self, *, page_size: int = PAGE_SIZE) -> Iterator[EventType]:
        return self._caller.pages("/event-types", EventType, page_size=page_size)

    def get(self, name: str) -> SampledEventType:
        """With a payload to try it with."""
        return self._caller.get(f"/event-types/{segment(name)}", SampledEventType)


class EventTypes:
    """`provider.event_types`: the whole catalogue, archived types included."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def list(self, *, page_size: int = PAGE_SIZE) -> Iterator[EventType]:
        return self._caller.pages("/event-types", EventType, page_size=page_size)

    def get(self, name: str) -> EventType:
        return self._caller.get(_path(name), EventType)

    def create(self, name: str, *, idempotency_key: str | None = None, **fields: Unpack[EventTypeFields]) -> EventType:
        return self._caller.post("/event-types", EventType, {"name": name, **fields}, idempotency_key=idempotency_key)

    def update(self, name: str, **changes: Unpack[EventTypeFields]) -> EventType:
        return self._caller.patch(_path(name), EventType, changes)

    def delete(self, name: str) -> None:
        self._caller.delete(_path(name))


class PublicKeys:
    """`merchant.public_keys`: what formats that the provider's own key signs are verified with."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def list(self) -> Iterator[PublicKey]:
        return self._caller.pages("/keys", PublicKey)


def _path(name: str) -> str:
    return f"/event-types/{segment(name)}"
