"""Follows what the platform says of its deliveries without ever scanning the log."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection

from dispatcher.ids import first_id

OVERLAP = timedelta(seconds=5)
# Rows of the last seconds are looked at again: a publish may commit a moment after its ids were made.
ROWS_MOST = 5_000
# Of one look. Who publishes more between two looks sees the figures lag, and catch up.
OPEN_MOST = 2_000
# Of those that wait longer, the newest are followed; a few more than any retry schedule of the demo leaves open.

NOT_FINAL = frozenset({"pending", "held"})

LOOK = """
(SELECT id, owner_id, status FROM deliveries_delivery WHERE id >= %(floor)s ORDER BY id LIMIT %(most)s)
UNION
SELECT id, owner_id, status FROM deliveries_delivery WHERE id = ANY (%(open)s)
ORDER BY id
"""

Row = tuple[UUID, UUID, str]
Counts = Counter[tuple[UUID, str]]
# By the endpoint's owner and the delivery's status.


class Ledger:
    """Counts the deliveries made since a moment. Each look reads what is new and what was not final."""

    def __init__(self, *, since: datetime) -> None:
        self._floor = first_id(since)
        self._closed: Counts = Counter()
        self._open: list[UUID] = []

    def look(self, *, now: datetime) -> Counts:
        """One statement, by primary key only.

        1. Read the deliveries from the floor up, and the older ones that were still open.
        2. Raise the floor. What is final beneath it is counted for good, what is not is looked at again by its id.
        3. What is above the floor is counted for this answer only.
        """
        rows = self._read()
        self._floor = self._next_floor(rows, now)
        old = [row for row in rows if row[0] < self._floor]
        self._closed += _counted(row for row in old if row[2] not in NOT_FINAL)
        still_open = [row for row in old if row[2] in NOT_FINAL]
        self._open = [row[0] for row in still_open][-OPEN_MOST:]
        return self._closed + _counted(still_open) + _counted(row for row in rows if row[0] >= self._floor)

    def _read(self) -> list[Row]:
        with connection.cursor() as cursor:
            cursor.execute(LOOK, {"floor": self._floor, "most": ROWS_MOST, "open": self._open})
            return list(cursor.fetchall())

    def _next_floor(self, rows: list[Row], now: datetime) -> UUID:
        """Not past what a full look has not read."""
        floor = max(self._floor, first_id(now - OVERLAP))
        return min(floor, rows[-1][0]) if len(rows) >= ROWS_MOST else floor


def _counted(rows: Iterable[Row]) -> Counts:
    return Counter((owner, status) for _, owner, status in rows)
