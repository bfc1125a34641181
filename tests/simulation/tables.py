"""Lanes and their entries in memory, behind the interface of the engine's store, with the rules of its statements.

`test_tables.py` holds it against the real store on Postgres, turn by turn.
"""

import heapq
from bisect import insort
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from deliveries.engine.store import LEASE
from deliveries.engine.values import HeldLane, LaneRow, Pick, Result
from dispatcher.breaker import CLOSED
from dispatcher.ids import new_id
from dispatcher.streak import NONE
from dispatcher.window import INITIAL_SIZE

MERCHANT = new_id()


@dataclass(order=True, slots=True)
class Entry:
    """A delivery that waits. `number` is its place among all that were published."""

    due_at: datetime
    number: int
    delivery_id: UUID = field(compare=False)
    attempts: int = field(default=0, compare=False)


@dataclass(slots=True)
class Lane:
    """A lane as its row has it, with its entries in order."""

    row: LaneRow
    due_at: datetime | None = None
    leased_until: datetime | None = None
    not_before: datetime | None = None
    entries: list[Entry] = field(default_factory=list)
    by_id: dict[UUID, Entry] = field(default_factory=dict)


def lane_row(endpoint_id: UUID, *, max_in_flight: int, window: int = INITIAL_SIZE) -> LaneRow:
    return LaneRow(
        endpoint_id=endpoint_id,
        lease_token=None,
        in_flight=[],
        window=window,
        is_suspect=False,
        retry_at=None,
        paced_until=None,
        is_in_order=False,
        version=1,
        is_active=True,
        is_deleted=False,
        max_in_flight=max_in_flight,
        is_ordered=False,
        rate_limit=None,
        is_letter=False,
        breaker=CLOSED,
        streak=NONE,
    )


class Tables:
    """What all drains share."""

    def __init__(self) -> None:
        self.lanes: dict[UUID, Lane] = {}
        self._numbers = 0

    def add_lane(self, endpoint_id: UUID, *, max_in_flight: int = 50) -> None:
        self.lanes[endpoint_id] = Lane(lane_row(endpoint_id, max_in_flight=max_in_flight))

    def publish(self, endpoint_id: UUID, *, now: datetime, delivery_id: UUID | None = None) -> UUID:
        """One delivery, and its lane's mark: as `signet_publish_one` and `signet_mark_due` do it."""
        lane = self.lanes[endpoint_id]
        self._numbers += 1
        entry = Entry(now, self._numbers, delivery_id or new_id())
        insort(lane.entries, entry)
        lane.by_id[entry.delivery_id] = entry
        if lane.due_at is None or lane.due_at > _latest(now, lane.not_before):
            lane.due_at = _latest(now, lane.not_before)
        return entry.delivery_id

    @property
    def waiting(self) -> int:
        return sum(len(lane.entries) for lane in self.lanes.values())

    def next_due(self) -> datetime | None:
        """When the next lane comes due that nobody holds."""
        free = (lane.due_at for lane in self.lanes.values() if lane.due_at and lane.row.lease_token is None)
        return min(free, default=None)


class MemoryStore:
    """What the engine's turn asks of its store."""

    lease: timedelta = LEASE

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self.token = new_id()

    @contextmanager
    def turn(self) -> Iterator[None]:
        yield

    def record(self, results: Sequence[Result], *, lanes: Iterable[UUID]) -> set[UUID]:
        """RECORD: what was delivered or has failed goes, the rest moves to when it is tried again."""
        failed = set()
        held = {one for one in lanes if self._tables.lanes[one].row.lease_token == self.token}
        for result in results:
            lane = self._tables.lanes[result.pick.endpoint_id]
            entry = lane.by_id.get(result.pick.delivery_id)
            if result.pick.endpoint_id not in held or entry is None:
                continue
            lane.entries.remove(entry)
            if result.next_attempt_at is None:
                del lane.by_id[entry.delivery_id]
                failed |= {entry.delivery_id} if result.decision.status == "failed" else set()
            else:
                entry.due_at, entry.attempts = result.next_attempt_at, entry.attempts + 1
                insort(lane.entries, entry)
        return failed

    def lock_lanes(
        self, touched: Iterable[UUID], *, limit: int, may_be_suspect: bool, now: datetime, may_be_letters: bool = True
    ) -> list[LaneRow]:
        """LOCK_LANES, which may say a lane twice: as ours, and as due. No row is locked: turns follow each other."""
        lanes = self._tables.lanes
        ours = [lanes[one].row for one in sorted(touched) if lanes[one].row.lease_token == self.token]
        due = (lane for lane in lanes.values() if self._is_due(lane, now))
        wanted = (lane for lane in due if may_be_suspect or not lane.row.is_suspect)
        found = heapq.nsmallest(limit, wanted, key=lambda lane: lane.due_at or now)
        return ours + [lane.row for lane in found]

    def _is_due(self, lane: Lane, now: datetime) -> bool:
        if lane.due_at is None or lane.due_at > now or (lane.not_before is not None and lane.not_before > now):
            return False
        return lane.leased_until is None or lane.leased_until <= now or lane.row.lease_token == self.token

    def pick(
        self, rooms: dict[UUID, int], *, flying: Sequence[UUID], limit: int, most_bytes: int, now: datetime
    ) -> list[Pick]:
        """PICK: earlier lanes are served first, and all that they give is sent in the order of its age."""
        skipped, found = set(flying), list[tuple[Entry, Pick]]()
        for endpoint_id, room in rooms.items():
            taken = 0
            for entry in self._tables.lanes[endpoint_id].entries:
                if taken == room or len(found) == limit or entry.due_at > now:
                    break
                if entry.delivery_id not in skipped:
                    found.append((entry, _pick(endpoint_id, entry)))
                    taken += 1
        return [pick for _, pick in sorted(found, key=lambda one: one[0])]

    def save_lanes(self, lanes: Sequence[HeldLane], *, now: datetime) -> None:
        """SAVE_LANES: held while something is in the air, else released with its next due time."""
        for held in lanes:
            lane = self._tables.lanes[held.row.endpoint_id]
            is_held = bool(held.flying)
            following = next((one.due_at for one in lane.entries if one.delivery_id not in held.flying), None)
            lane.not_before = held.not_before
            lane.leased_until = now + self.lease if is_held else None
            lane.due_at = self._due_at(held, lane.due_at, following, now)
            lane.row = replace(
                lane.row,
                lease_token=self.token if is_held else None,
                in_flight=list(held.flying),
                window=held.window.size,
                is_suspect=held.window.is_suspect,
                retry_at=held.retry_at,
                paced_until=held.paced_until,
                breaker=held.breaker,
                streak=held.streak,
            )

    def _due_at(
        self, held: HeldLane, before: datetime | None, following: datetime | None, now: datetime
    ) -> datetime | None:
        if held.flying and (held.is_full or following is None):
            return now + self.lease
        if following is None:
            return None
        if held.flying:
            return min(now + self.lease, _latest(following, held.not_before, now))
        if held.is_passed_over and following <= now:
            return min(before or now, now)
        return _latest(following, held.not_before, now)

    def tell(self, _news: Sequence[Any], *, now: datetime) -> None:
        """Nobody listens."""

    def interrupt(self, _ids: Sequence[UUID], *, now: datetime) -> None:
        raise AssertionError("no drain dies here")

    settle = interrupt


def _latest(first: datetime, *others: datetime | None) -> datetime:
    return max([first, *(one for one in others if one is not None)])


def _pick(endpoint_id: UUID, entry: Entry) -> Pick:
    return Pick(
        endpoint_id=endpoint_id,
        delivery_id=entry.delivery_id,
        due_at=entry.due_at,
        trigger="event" if not entry.attempts else "retry",
        attempts_made=entry.attempts,
        attempts_counted=entry.attempts,
        attempts_uncounted=0,
        event_id=entry.delivery_id,
        external_id=None,
        event_type="invoice.paid",
        account=None,
        payload=b"",
        occurred_at=entry.due_at,
        merchant_id=MERCHANT,
        is_live=True,
    )
