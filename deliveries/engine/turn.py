"""One turn of a drain: record what finished, take what is due, decide which lanes stay held. One transaction."""

import sys
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from deliveries.engine.lane_state import note_outcomes
from deliveries.engine.store import Store
from deliveries.engine.values import HeldLane, LaneRow, Pick, Result
from dispatcher.breaker import CLOSED
from dispatcher.outcomes import Reason
from dispatcher.streak import NONE, Verdict
from dispatcher.window import Window

LANES_A_TURN = 256
PICKS_A_TURN = 512
# A turn holds row locks that publishers may wait for: tens of milliseconds, not hundreds.
RATE_SLICE_S = 0.1
# A lane with a rate limit sends in slices, so that its claims cost ten statements a second and not one a delivery.


@dataclass(frozen=True, slots=True)
class Plan:
    """What the drain shall know once the turn is committed."""

    # The lanes that the turn touched; those with nothing in the air were released.
    lanes: dict[UUID, HeldLane]
    # Lanes that were thought ours, and were not any more. Some of them may have been claimed anew by this turn.
    lost: set[UUID]
    picks: list[Pick]
    # Whether more may be due than was taken.
    is_hungry: bool
    # What follows for endpoints that have failed for days.
    verdicts: dict[UUID, Verdict] = field(default_factory=dict)


@dataclass(slots=True)
class Turn:
    """Works on copies: if the transaction fails, the drain still knows what it knew before."""

    store: Store
    held: dict[UUID, HeldLane]
    results: Sequence[Result]
    # Deliveries that were picked, but shall not be sent after all.
    returned: Collection[Pick]
    # How many more requests the drain can carry.
    free: int
    may_be_suspect: bool
    is_claiming: bool
    now: datetime
    # How many e-mails and SMS the drain can carry: a few threads' worth, so most of a flood waits in its lanes.
    free_letters: int = sys.maxsize
    # How long an endpoint may fail without a break; 0: for ever.
    disable_after: timedelta = timedelta()
    _lanes: dict[UUID, HeldLane] = field(default_factory=dict)
    # The lanes that were held before and still are.
    _kept: set[UUID] = field(default_factory=set)
    _verdicts: dict[UUID, Verdict] = field(default_factory=dict)

    def take(self) -> Plan:
        """The whole turn, in the order of the statements."""
        touched = {result.pick.endpoint_id for result in self.results} | {pick.endpoint_id for pick in self.returned}
        with self.store.turn():
            if self.results:
                self.store.record(self.results, lanes=touched)
            limit = min(LANES_A_TURN, max(0, self.free)) if self.is_claiming else 0
            rows = self.store.lock_lanes(
                touched,
                limit=limit,
                may_be_suspect=self.may_be_suspect,
                may_be_letters=self.free_letters > 0,
                now=self.now,
            )
            self._interrupt_strays(rows)
            self._update_lanes(rows)
            self._settle_closed()
            picks = self._pick(min(self.free, PICKS_A_TURN))
            if self._lanes:
                self.store.save_lanes(list(self._lanes.values()), now=self.now)
        is_hungry = len(rows) - len(touched) >= limit > 0 or len(picks) >= PICKS_A_TURN
        return Plan(self._lanes, touched - self._kept, picks, is_hungry, self._verdicts)

    def _interrupt_strays(self, rows: list[LaneRow]) -> None:
        """What a lane's former holder had in the air, and did not record, has an unknown outcome."""
        strays = [stray for row in rows if not self._is_known(row) for stray in row.in_flight]
        if strays:
            self.store.interrupt(strays, now=self.now)

    def _is_known(self, row: LaneRow) -> bool:
        return row.lease_token == self.store.token and row.endpoint_id in self.held

    def _update_lanes(self, rows: list[LaneRow]) -> None:
        done: defaultdict[UUID, set[UUID]] = defaultdict(set)
        reasons: defaultdict[UUID, list[Reason]] = defaultdict(list)
        waits: defaultdict[UUID, list[datetime]] = defaultdict(list)
        for result in self.results:
            done[result.pick.endpoint_id].add(result.pick.delivery_id)
            reasons[result.pick.endpoint_id].append(result.outcome.reason)
            if result.next_attempt_at is not None:
                waits[result.pick.endpoint_id].append(result.next_attempt_at)
        for pick in self.returned:
            done[pick.endpoint_id].add(pick.delivery_id)
        for row in rows:
            endpoint_id = row.endpoint_id
            not_before = self._not_before(row, waits[endpoint_id])
            lane = HeldLane(row, Window(row.window, row.is_suspect), not_before, row.breaker, row.streak)
            if self._is_known(row):
                self._kept.add(endpoint_id)
                lane.flying = self.held[endpoint_id].flying - done[endpoint_id]
                if endpoint_id in reasons:
                    self._note(lane, reasons[endpoint_id])
            self._lanes[endpoint_id] = lane

    def _note(self, lane: HeldLane, reasons: list[Reason]) -> None:
        verdict = note_outcomes(lane, reasons, disable_after=self.disable_after, now=self.now)
        if verdict is not Verdict.NOTHING:
            self._verdicts[lane.row.endpoint_id] = verdict

    def _not_before(self, row: LaneRow, waits: list[datetime]) -> datetime | None:
        """An ordered lane waits as a whole for the retry of its first delivery."""
        moments = [*waits] if row.is_ordered and self._is_known(row) else []
        if row.not_before is not None and row.not_before > self.now:
            moments.append(row.not_before)
        return max(moments, default=None)

    def _settle_closed(self) -> None:
        closed = [lane for lane in self._lanes.values() if not lane.row.is_open]
        for lane in closed:
            # A wait ends with what it waited for, and a new start is not held up by old failures.
            lane.not_before, lane.breaker, lane.streak = None, CLOSED, NONE
        if closed:
            flying = [delivery_id for lane in closed for delivery_id in lane.flying]
            self.store.settle([lane.row.endpoint_id for lane in closed], flying=flying, now=self.now)

    def _pick(self, limit: int) -> list[Pick]:
        rooms = self._rooms()
        picks: list[Pick] = []
        if rooms and limit > 0 and self.is_claiming:
            flying = [delivery_id for endpoint_id in rooms for delivery_id in self._lanes[endpoint_id].flying]
            picks = self.store.pick(rooms, flying=flying, limit=limit, now=self.now)
        for pick in picks:
            self._lanes[pick.endpoint_id].flying.add(pick.delivery_id)
        taken = Counter(pick.endpoint_id for pick in picks)
        for endpoint_id, lane in self._lanes.items():
            self._close_books(lane, taken=taken[endpoint_id])
        if len(picks) >= limit:
            for endpoint_id in rooms.keys() - taken.keys() - self.held.keys():
                self._lanes[endpoint_id].is_passed_over = True
        return picks

    def _rooms(self) -> dict[UUID, int]:
        """How many each lane may send now. Those that reach people share what the carrier has free; who gets nothing of
        it keeps its place."""
        rooms: dict[UUID, int] = {}
        letters = self.free_letters
        for endpoint_id, lane in self._in_order():
            room = self._room(lane)
            if lane.row.is_letter and room > 0:
                lane.is_passed_over = letters == 0
                room = min(room, letters)
                letters -= room
            if room > 0:
                rooms[endpoint_id] = room
        return rooms

    def _in_order(self) -> list[tuple[UUID, HeldLane]]:
        """Lanes that waited come before those that were just served."""
        return sorted(self._lanes.items(), key=lambda item: item[0] in self.held)

    def _room(self, lane: HeldLane) -> int:
        if not lane.row.is_open or (lane.not_before is not None and lane.not_before > self.now):
            return 0
        if lane.row.rate_limit is not None:
            return min(lane.room, max(1, int(lane.row.rate_limit * RATE_SLICE_S)))
        return lane.room

    def _close_books(self, lane: HeldLane, *, taken: int) -> None:
        lane.is_full = lane.room == 0 or not lane.row.is_open
        if taken and lane.row.rate_limit is not None:
            lane.not_before = self.now + timedelta(seconds=taken / lane.row.rate_limit)
