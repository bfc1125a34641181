"""Ranges of ids: a UUIDv7 begins with its time, so a day is a range of ids, and so are the deliveries of one event.

Partitions of the ledger are such ranges. Postgres looks only into those that a statement's own bounds name when it
plans: whoever knows ids says between which ones they lie, or a statement is planned for every day that is kept.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any
from uuid import UUID

from dispatcher.ids import first_id, time_of

PLACES = 0xFFF
# A delivery's id is its event's, with a number from 1 in these last bits: it sorts with its event and lies in its day.
FIRST = UUID(int=0)
LAST = UUID(int=(1 << 128) - 1)


@dataclass(frozen=True, slots=True)
class IdRange:
    """From `low` to `high`, both included."""

    low: UUID
    high: UUID

    @property
    def params(self) -> dict[str, Any]:
        """For statements that say `BETWEEN %(low)s AND %(high)s`."""
        return {"low": self.low, "high": self.high}


def of_event(event_id: UUID) -> IdRange:
    """Where the event and all its deliveries are."""
    return of_all([event_id])


def of_all(ids: Iterable[UUID]) -> IdRange:
    """Where these events or deliveries are, with all the others of the same events. Of none: nowhere."""
    known = list(ids)
    if not known:
        return IdRange(LAST, FIRST)
    return IdRange(UUID(int=min(known).int & ~PLACES), UUID(int=max(known).int | PLACES))


def delivery_id(event_id: UUID, *, place: int) -> UUID:
    """The id of an event's delivery, as the statements of publishing make it."""
    return UUID(int=event_id.int & ~PLACES | place)


def first_of(day: date) -> UUID:
    """What sorts before every id of that UTC day."""
    return first_id(datetime.combine(day, time(), UTC))


def day_of(row_id: UUID) -> date:
    """The UTC day in which an id was made."""
    return time_of(row_id).date()
