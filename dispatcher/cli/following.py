"""Follows the delivery log: what is new, and what has changed, at each look."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import islice, takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dispatcher.client.results import LogRow

WINDOW = timedelta(seconds=60)
# How far back each look reads again. Rows become visible when their transaction commits, not in the order of their ids;
# publishing takes seconds at the very most. And most deliveries are over within it.
UNCHANGED_MOST = 400
# Rows in a row that have nothing new, after which a look ends: two pages. A merchant with a thousand events a second
# would else have its whole minute read every second.

Read = Callable[[datetime | None], "Iterator[LogRow]"]
# The log from a moment on, or all of it; newest first.


class Follower:
    """Remembers each row of the last minute with its state, by the platform's own clock."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._seen: dict[str, tuple[datetime, str, int]] = {}
        self._newest: datetime | None = None

    def begin(self, last: int) -> list["LogRow"]:
        """The newest rows, oldest first. All others of the last minute count as seen."""
        found = self._read(None)
        shown = list(islice(found, last or 1))
        if shown:
            self._newest = shown[0].created_at
            edge = self._newest - WINDOW
            self._remember(shown)
            self._remember(list(takewhile(lambda row: row.created_at >= edge, found)))
        return shown[::-1] if last else []

    def look(self) -> list["LogRow"]:
        """What was not there before or was in another state, oldest first."""
        edge = None if self._newest is None else self._newest - WINDOW
        fresh = self._fresh(edge)
        self._remember(fresh)
        self._newest = max((row.created_at for row in fresh), default=self._newest)
        self._forget()
        return fresh[::-1]

    def _fresh(self, edge: datetime | None) -> list["LogRow"]:
        found: list[LogRow] = []
        unchanged = 0
        for row in self._read(edge):
            if self._seen.get(row.delivery_id) != _state(row):
                found.append(row)
                unchanged = 0
            elif (unchanged := unchanged + 1) == UNCHANGED_MOST:
                break
        return found

    def _remember(self, rows: list["LogRow"]) -> None:
        self._seen.update((row.delivery_id, _state(row)) for row in rows)

    def _forget(self) -> None:
        """What no look will read again; a second longer than it could, since moments are rounded on their way."""
        if self._newest is not None:
            edge = self._newest - WINDOW - timedelta(seconds=1)
            self._seen = {name: state for name, state in self._seen.items() if state[0] >= edge}


def _state(row: "LogRow") -> tuple[datetime, str, int]:
    return row.created_at, row.delivery_status, row.delivery_attempts
