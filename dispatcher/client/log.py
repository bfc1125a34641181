"""Reads the delivery log, and asks for deliveries again."""

from collections.abc import Iterator
from typing import Unpack

from dispatcher.client.calling import PAGE_SIZE, Caller, segment
from dispatcher.client.fields import LogFilter
from dispatcher.client.results import Event, LogRow, Resent


class Log:
    """`merchant.events`"""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def list(self, *, page_size: int = PAGE_SIZE, **where: Unpack[LogFilter]) -> Iterator[LogRow]:
        """Deliveries, newest first, for as long as you go on asking."""
        return self._caller.linked_pages("/events", LogRow, where, page_size=page_size)

    def get(self, event: str) -> Event:
        """The event with its deliveries and their attempts."""
        return self._caller.get(f"/events/{segment(event)}", Event)

    def resend(self, event: str, *, endpoint: str | None = None, idempotency_key: str | None = None) -> tuple[str, ...]:
        """Send it again, to one endpoint or to all that were owed it; the ids of the deliveries."""
        body = {} if endpoint is None else {"endpoint": endpoint}
        path = f"/events/{segment(event)}/resend"
        return tuple(self._caller.post(path, Resent, body, idempotency_key=idempotency_key).deliveries)
