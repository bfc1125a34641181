"""One turn of a drain: record what finished, take what is due, decide which lanes stay held. One transaction."""

import sys
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from deliveries.engine import news
from deliveries.engine.lane_state import note_outcomes
from deliveries.engine.store import Store
from deliveries.engine.values import HeldLane, LaneRow, Pick, Result
from dispatcher import pace
from dispatcher.breaker import CLOSED
from dispatcher.streak import NONE, Verdict
from dispatcher.window import Window
from subscriptions.killpoints import reached

LANES_A_TURN = 256
PICKS_A_TURN = 512
# A turn holds row locks that publishers may wait for: tens of milliseconds, not hundreds.
CROWDED_ROOM = 4
# What a lane may have in flight while half of the drain's capacity is taken. Four dozen lanes with full windows whose
# receivers die together would fill all of it for one timeout; so they fill half, and hundreds of others get through.


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
    # How many attempts of drains that died the turn wrote down.
    interrupted: int = 0


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
    # How many more may be in flight before the drain is crowded.
    uncrowded: int = sys.maxsize
    # How many bytes of payloads the drain can carry besides those that are in flight.
    free_bytes: int = sys.maxsize
    # How long an endpoint may fail without a break; 0: for ever.
    disable_after: timedelta = timedelta()
    _lanes: dict[UUID, HeldLane] = field(default_factory=dict)
    # The lanes that were held before and still are.
    _kept: set[UUID] = field(default_factory=set)
    _verdicts: dict[UUID, Verdict] = field(default_factory=dict)
    _news: list[news.News] = field(default_factory=list)

    def take(self) -> Plan:
        """The whole turn, in the order of the statements."""
        touched = {result.pick.endpoint_id for result in self.results} | {pick.endpoint_id for pick in self.returned}
        with self.store.turn():
            if self.results:
                failed = self.store.record(self.results, lanes=touched)
                self._news += news.of_failures(self.results, failed) if failed else []
                reached("turn.recorded")
            limit = min(LANES_A_TURN, max(0, self.free)) if self.is_claiming and self.free_bytes > 0 else 0
            found = self.store.lock_lanes(
                touched,
                limit=limit,
                may_be_suspect=self.may_be_suspect,
                may_be_letters=self.free_letters > 0,
                now=self.now,
            )
            # A lane of ours that is due again is found twice; its news is told once.
            rows = list({row.endpoint_id: row for row in found}.values())
            interrupted = self._interrupt_strays(rows)
            self._update_lanes(rows)
            self._settle_closed()
            self._arrange()
            picks, is_cut = self._pick(min(self.free, PICKS_A_TURN))
            if self._lanes:
                self.store.save_lanes(list(self._lanes.values()), now=self.now)
            if self._news:
                self.store.tell(self._news, now=self.now)
            if picks or self.results:
                reached("turn.written")
        is_hungry = len(found) - len(touched) >= limit > 0 or len(picks) >= PICKS_A_TURN or is_cut
        # Also what was lost and is claimed again at once: what the first lease has in the air is no news of the second.
        lost = (touched | (self._lanes.keys() & self.held.keys())) - self._kept
        return Plan(self._lanes, lost, picks, is_hungry, self._verdicts, interrupted)

    def _interrupt_strays(self, rows: list[LaneRow]) -> int:
        """What a lane's former holder had in the air, and did not record, has an unknown outcome. Returns how many."""
        strays = [stray for row in rows if not self._is_known(row) for stray in row.in_flight]
        if strays:
            self.store.interrupt(strays, now=self.now)
        return len(strays)

    def _is_known(self, row: LaneRow) -> bool:
        return row.lease_token == self.store.token and row.endpoint_id in self.held

    def _update_lanes(self, rows: list[LaneRow]) -> None:
        done: defaultdict[UUID, set[UUID]] = defaultdict(set)
        results: defaultdict[UUID, list[Result]] = defaultdict(list)
        waits: defaultdict[UUID, list[datetime]] = defaultdict(list)
        for result in self.results:
            done[result.pick.endpoint_id].add(result.pick.delivery_id)
            results[result.pick.endpoint_id].append(result)
            if result.next_attempt_at is not None:
                waits[result.pick.endpoint_id].append(result.next_attempt_at)
        for pick in self.returned:
            done[pick.endpoint_id].add(pick.delivery_id)
        for row in rows:
            endpoint_id = row.endpoint_id
            lane = HeldLane(
                row,
                Window(row.window, row.is_suspect),
                self._retry_at(row, waits[endpoint_id]),
                row.paced_until,
                row.is_in_order,
                row.breaker,
                row.streak,
            )
            if self._is_known(row):
                self._kept.add(endpoint_id)
                before = self.held[endpoint_id]
                lane.flying = before.flying - done[endpoint_id]
                lane.paced_until = before.paced_as_sent
                if endpoint_id in results:
                    self._note(lane, results[endpoint_id])
            self._lanes[endpoint_id] = lane

    def _note(self, lane: HeldLane, results: list[Result]) -> None:
        reasons = [result.outcome.reason for result in results]
        verdict = note_outcomes(lane, reasons, disable_after=self.disable_after, now=self.now)
        if verdict is not Verdict.NOTHING:
            self._verdicts[lane.row.endpoint_id] = verdict
        if said := news.of_lane(lane, results, disable_after=self.disable_after):
            self._news.append(said)

    def _retry_at(self, row: LaneRow, waits: list[datetime]) -> datetime | None:
        """A lane in order waits as a whole for the retry of its first delivery."""
        if not row.is_in_order:
            return None
        moments = [*waits] if self._is_known(row) else []
        if row.retry_at is not None and row.retry_at > self.now:
            moments.append(row.retry_at)
        return max(moments, default=None)

    def _settle_closed(self) -> None:
        closed = [lane for lane in self._lanes.values() if not lane.row.is_open]
        for lane in closed:
            # A wait ends with what it waited for, and a new start is not held up by old failures.
            lane.retry_at, lane.breaker, lane.streak = None, CLOSED, NONE
            # Whoever opens it again has not said that it can take all at once what was held meanwhile.
            lane.window = Window(1, lane.window.is_suspect)
        if closed:
            flying = [delivery_id for lane in closed for delivery_id in lane.flying]
            self.store.settle([lane.row.endpoint_id for lane in closed], flying=flying, now=self.now)
            reached("turn.settled")

    def _arrange(self) -> None:
        """Lanes whose endpoint has begun or ceased to want order: what waits for a retry takes its place. Not while
        something is in the air, whose retry would still go to the old one."""
        torn = [lane for lane in self._lanes.values() if lane.is_rearranging and lane.row.is_open and not lane.flying]
        if torn and self.store.arrange([lane.row.endpoint_id for lane in torn]):
            for lane in torn:
                lane.is_in_order, lane.retry_at = lane.row.is_ordered, None

    def _pick(self, limit: int) -> tuple[list[Pick], bool]:
        """What shall be sent, and whether there was more than the drain can carry."""
        rooms = self._rooms()
        found: list[Pick] = []
        if rooms and limit > 0 and self.free_bytes > 0 and self.is_claiming:
            flying = [delivery_id for endpoint_id in rooms for delivery_id in self._lanes[endpoint_id].flying]
            found = self.store.pick(rooms, flying=flying, limit=limit, most_bytes=self.free_bytes, now=self.now)
        is_cut = sum(len(pick.payload) for pick in found) >= self.free_bytes
        picks = [pick for pick in found if not self._is_early(pick)]
        for pick in picks:
            self._lanes[pick.endpoint_id].flying.add(pick.delivery_id)
        taken = Counter(pick.endpoint_id for pick in picks)
        for endpoint_id, lane in self._lanes.items():
            self._close_books(lane, taken=taken[endpoint_id])
        if len(found) >= limit or is_cut:
            for endpoint_id in rooms.keys() - {pick.endpoint_id for pick in found} - self.held.keys():
                self._lanes[endpoint_id].is_passed_over = True
        return picks, is_cut

    def _is_early(self, pick: Pick) -> bool:
        """A delivery that keeps its place in an ordered lane although its retry is not due: the lane waits for it."""
        lane = self._lanes[pick.endpoint_id]
        is_waiting = pick.trigger == "retry" and pick.next_attempt_at is not None and pick.next_attempt_at > self.now
        if lane.is_in_order and is_waiting:
            lane.retry_at = pick.next_attempt_at
            return True
        return False

    def _rooms(self) -> dict[UUID, int]:
        """How many each lane may send now. Those that reach people share what the carrier has free; who gets nothing of
        it keeps its place."""
        rooms: dict[UUID, int] = {}
        letters = self.free_letters
        # Where a turn's most picks leave room enough, nobody has to share.
        uncrowded = self.uncrowded if self.uncrowded < PICKS_A_TURN else sys.maxsize
        for endpoint_id, lane in self._in_order():
            lane.is_crowded = uncrowded <= 0
            room = self._room(lane)
            uncrowded -= room
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
        room = lane.room
        if lane.is_crowded:
            room = min(room, max(0, CROWDED_ROOM - len(lane.flying)))
        if lane.row.rate_limit is not None:
            room = min(room, pace.slice_of(lane.row.rate_limit))
        return room

    def _close_books(self, lane: HeldLane, *, taken: int) -> None:
        is_crowded_out = lane.is_crowded and len(lane.flying) >= CROWDED_ROOM
        lane.is_full = lane.room == 0 or not lane.row.is_open or is_crowded_out
        lane.taken = taken
        if taken and lane.row.rate_limit is not None:
            lane.paced_until = pace.after(lane.paced_until, sent=taken, rate=lane.row.rate_limit, at=self.now)
