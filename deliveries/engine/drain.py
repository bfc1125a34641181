"""The drain: keeps as many requests in the air as there is work and room for, and records them in groups.

    claim lanes → render + sign → HTTP client → record outcomes → release lanes

Any number of drains may run, on any number of machines. One that dies leaves its lanes to others when their leases
run out; one that loses Postgres goes on carrying what is in the air and records it when Postgres is back.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from uuid import UUID

import psycopg
from django.conf import settings
from django.db import Error, connection

from deliveries import metrics
from deliveries.doorbell import Doorbell
from deliveries.engine import telling
from deliveries.engine.clock import Clock
from deliveries.engine.sender import Sender
from deliveries.engine.store import LEASE, Store
from deliveries.engine.turn import Plan, Turn
from deliveries.engine.values import HeldLane, Pick, Result
from dispatcher.streak import Verdict
from subscriptions.killpoints import reached
from subscriptions.services import endpoints
from subscriptions.services.notices import Failing

logger = logging.getLogger(__name__)

GROUP_SIZE = 256
# Results recorded at once; larger groups cost less each, but hold their lanes' rows longer.
GROUP_WAIT_S = 0.003
# A result waits this long for company while others are in the air.
LOOK_S = 0.02
# How often a drain that waits for its receivers looks for new work in lanes that it holds itself.
LINGER_S = 0.15
# A lane that comes due within this is waited for: one with a rate limit sends every tenth of a second. Retries are left
# to beat's tick. A drain that lingers longer keeps its process from answering the bell, and then new events wait for
# its next look: at 200 events/s that cost 20 ms at the 95th percentile.
SHORTEST_LOOK_S = 0.002
# Another drain is about to claim what is due already; asking it without a pause would only slow it down.
HANDOVER_CHECK_S = 1.0
BUDGET_S = 60.0
# After this a drain hands over to a fresh one, if one comes: so that a process can be recycled.
SUSPECT_SHARE = 0.5
# Of the capacity: the other half is kept for lanes that answer.
CROWD_SHARE = 0.5
# Of the capacity: from there on a lane gets only a few of what is left.
PAYLOADS_BYTES = 64 * 1024 * 1024
# Of payloads that one drain carries at once, besides at most one more. Two thousand of the largest (256 KiB) would be
# half a gigabyte, and each is in memory about three times: as read, as sent and as the log gets it. Payloads of 32 KiB
# fill the whole capacity; larger ones still go at hundreds in flight.
LOST = (psycopg.OperationalError, psycopg.InternalError, psycopg.InterfaceError)
# A connection that broke, a deadlock, a session that Postgres ended because it was frozen: nothing was written.
AFTER_TROUBLE_S = 0.05
RECONNECT_S = 0.25
GIVE_UP_S = LEASE.total_seconds()
# Without Postgres for longer than a lease, what the drain holds belongs to others.
SLOW_TURN_S = 2.0
# After a turn that lasted longer, endpoints are looked at once more: nothing may go to one that was closed 5 s ago.


@dataclass(slots=True)
class Engine:
    """What a process keeps between drains: its connections, its open sockets, its prepared endpoints."""

    store: Store
    sender: Sender
    clock: Clock
    bell: Doorbell
    capacity: int


class Drain:
    """One run over the engine, from the ring of the bell until nothing is due."""

    def __init__(self, engine: Engine, *, is_stopping: Callable[[], bool]) -> None:
        self._store, self._sender, self._clock, self._bell = engine.store, engine.sender, engine.clock, engine.bell
        self._capacity = engine.capacity
        self._is_stopping = is_stopping
        self._lanes: dict[UUID, HeldLane] = {}
        self._results: list[Result] = []
        self._returned: list[Pick] = []
        self._unsaid: list[Callable[..., bool]] = []
        self._group_size = GROUP_SIZE
        self._oldest_result_at = 0.0
        self._next_look_at = 0.0
        self._is_hungry = True
        self._is_work_near = True
        self._handover = Handover(engine.bell)
        self.attempts = 0

    def run(self) -> int:
        """Drain until nothing is due and nothing is in the air. Returns the number of attempts recorded."""
        self._bell.answer()
        self._reconnect()
        while not self._is_done():
            self._collect()
            if self._is_turn_due():
                self._take_turn()
        if not self._is_claiming:
            # Whoever came may have found every lane leased and gone again; what is due in them needs somebody.
            self._bell.ring()
        return self.attempts

    @property
    def _is_claiming(self) -> bool:
        return not self._is_stopping() and not self._handover.is_taken

    def _is_done(self) -> bool:
        if self._sender.in_flight or self._results or self._returned or self._unsaid:
            return False
        return not self._is_claiming or not self._is_work_near

    def _collect(self) -> None:
        if not self._sender.in_flight and not self._results and not self._is_hungry:
            time.sleep(max(0.0, min(LOOK_S, self._next_look_at - time.monotonic())))
            return
        finished = self._sender.poll(self._patience(), now=self._clock.now)
        reached("drain.landed" if finished else "drain.flying")
        if finished and not self._results:
            self._oldest_result_at = time.monotonic()
        self._results.extend(finished)

    def _patience(self) -> float:
        """How long the client may wait for the network before the drain has other work."""
        if self._is_hungry and self._has_room:
            return 0.0
        until = self._next_look_at
        if self._results:
            until = min(until, self._oldest_result_at + GROUP_WAIT_S)
        return max(0.0, until - time.monotonic())

    @property
    def _free(self) -> int:
        return self._capacity - self._sender.in_flight

    @property
    def _free_bytes(self) -> int:
        return PAYLOADS_BYTES - self._sender.bytes_in_flight

    @property
    def _has_room(self) -> bool:
        return self._free > 0 and self._free_bytes > 0

    def _is_turn_due(self) -> bool:
        now = time.monotonic()
        if self._results and (len(self._results) >= GROUP_SIZE or not self._sender.in_flight):
            return True
        if self._results and now - self._oldest_result_at >= GROUP_WAIT_S:
            return True
        return bool(self._returned) or now >= self._next_look_at or (self._is_hungry and self._has_room)

    def _take_turn(self) -> None:
        """One transaction, then send what it picked. Whatever fails, no result is lost before its lease is."""
        group, returned = self._results[: self._group_size], self._returned
        began = time.monotonic()
        try:
            self._sync_clock()
            self._turn(group, returned, began)
        except LOST as error:
            metrics.TURNS_LOST.inc()
            logger.warning("turn lost its database: %s", type(error).__name__)
            time.sleep(AFTER_TROUBLE_S)
            self._reconnect()
        except (psycopg.DataError, psycopg.IntegrityError):
            self._isolate(group)

    def _turn(self, group: list[Result], returned: list[Pick], began: float) -> None:
        turn = Turn(
            store=self._store,
            held=self._lanes,
            results=group,
            returned=returned,
            free=self._free,
            uncrowded=self._free - int(self._capacity * (1 - CROWD_SHARE)),
            free_bytes=self._free_bytes,
            may_be_suspect=self._may_be_suspect(),
            is_claiming=self._is_claiming,
            disable_after=timedelta(days=settings.DISABLE_AFTER_DAYS),
            now=self._clock.now(),
            free_letters=self._sender.free_letters,
        )
        plan = turn.take()
        reached("drain.claimed" if plan.picks else "turn.committed")
        del self._results[: len(group)]
        self._returned = []
        self._group_size = min(GROUP_SIZE, self._group_size * 2)
        self.attempts += len(group)
        if plan.lost:
            self._forget(plan.lost)
        self._adopt(plan.lanes, plan.lost)
        self._is_hungry = plan.is_hungry
        self._next_look_at = time.monotonic() + LOOK_S
        self._act_on(group, plan)
        self._say_all()
        self._send(plan.picks, began)
        reached("drain.sent")
        telling.turn_taken(group, plan)
        self._look_ahead()
        self._handover.consider()

    def _forget(self, lost: set[UUID]) -> None:
        """Lanes that others took meanwhile. Should one be ours again, under the same token, what its first lease still
        brings in must not be taken for news of the second."""
        metrics.LEASES_LOST.inc(len(lost))
        logger.warning("the leases of %d lanes were lost; what comes from them is dropped", len(lost))
        self._sender.abandon(lost)
        self._results = [result for result in self._results if result.pick.endpoint_id not in lost]

    def _adopt(self, lanes: dict[UUID, HeldLane], lost: set[UUID]) -> None:
        for endpoint_id in lost:
            self._lanes.pop(endpoint_id, None)
        for endpoint_id, lane in lanes.items():
            if lane.flying:
                self._lanes[endpoint_id] = lane
            else:
                self._lanes.pop(endpoint_id, None)

    def _send(self, picks: list[Pick], began: float) -> None:
        if time.monotonic() - began > GIVE_UP_S / 3:
            # Frozen between the claim and here: the lease may be over before an answer could come.
            self._returned.extend(picks)
            return
        if picks and time.monotonic() - began > SLOW_TURN_S:
            picks = self._still_wanted(picks)
        versions = {pick.endpoint_id: self._lanes[pick.endpoint_id].row.version for pick in picks}
        try:
            failed_at_once = self._sender.send(picks, versions=versions, now=self._clock.now())
        except Error as error:
            logger.warning("endpoints could not be read: %s", type(error).__name__)
            self._returned.extend(picks)
            _renew_connection()
            return
        if failed_at_once and not self._results:
            self._oldest_result_at = time.monotonic()
        self._results.extend(failed_at_once)
        # Rates are kept between the moments at which requests leave, however late after its turn that was.
        sent_at = self._clock.now()
        for endpoint_id in versions:
            self._lanes[endpoint_id].sent_at = sent_at

    def _still_wanted(self, picks: list[Pick]) -> list[Pick]:
        """Those of endpoints that did not change during the turn; the others are given back."""
        try:
            versions = self._store.open_versions({pick.endpoint_id for pick in picks})
        except psycopg.Error:
            self._returned.extend(picks)
            raise
        wanted: list[Pick] = []
        for pick in picks:
            is_same = versions.get(pick.endpoint_id) == self._lanes[pick.endpoint_id].row.version
            (wanted if is_same else self._returned).append(pick)
        return wanted

    def _act_on(self, group: list[Result], plan: Plan) -> None:
        """Endpoints that want no more, or have failed for days: they are switched off, and their people told. Those
        that have failed for half of that time: their people are warned. Nothing is sent here, only written down."""
        for result in group:
            endpoint_id, reason = result.pick.endpoint_id, result.decision.disable_reason
            if reason:
                # A receiver that answered 410 wants nothing more, ever.
                self._say(partial(endpoints.disable, endpoint_id=endpoint_id, reason=reason), _gone(result))
        for endpoint_id, verdict in plan.verdicts.items():
            failing = _failing(group, plan.lanes[endpoint_id])
            if verdict is Verdict.DISABLE:
                self._say(partial(endpoints.disable, endpoint_id=endpoint_id, reason=endpoints.FAILING), failing)
            else:
                self._say(partial(endpoints.warn, endpoint_id=endpoint_id), failing)

    def _say(self, call: Callable[..., bool], failing: Failing) -> None:
        """What cannot be written now is written after a later turn. If this process dies before, the next failure says
        the same of an endpoint that is to be switched off; only a warning can be lost so, and the end is told."""
        self._unsaid.append(partial(call, failing=failing))

    def _say_all(self) -> None:
        while self._unsaid:
            try:
                self._unsaid[0](now=self._clock.now())
            except Error as error:
                logger.warning("what became of an endpoint was not written down yet: %s", type(error).__name__)
                _renew_connection()
                return
            del self._unsaid[0]

    def _may_be_suspect(self) -> bool:
        suspects = {endpoint_id: lane for endpoint_id, lane in self._lanes.items() if lane.window.is_suspect}
        if sum(len(lane.flying) for lane in suspects.values()) >= self._capacity * SUSPECT_SHARE:
            return False
        most = PAYLOADS_BYTES * SUSPECT_SHARE
        # Their bytes are only counted when they can be too many.
        return self._sender.bytes_in_flight < most or self._sender.bytes_to(suspects.keys()) < most

    def _look_ahead(self) -> None:
        """When idle: is there anything due so soon that it is not worth going to sleep?"""
        self._is_work_near = True
        if self._sender.in_flight or self._results or self._is_hungry or not self._is_claiming:
            return
        now = self._clock.now()
        may_be_letters = self._sender.free_letters > 0
        due_at = self._store.next_due(until=now + timedelta(seconds=LINGER_S), now=now, may_be_letters=may_be_letters)
        self._is_work_near = due_at is not None
        if due_at is not None:
            pause = min(max((due_at - now).total_seconds(), SHORTEST_LOOK_S), LOOK_S)
            self._next_look_at = time.monotonic() + pause

    def _isolate(self, group: list[Result]) -> None:
        """Postgres refused a value in the group: halve it until the culprit stands alone, then record that one bare."""
        if len(group) > 1:
            self._group_size = len(group) // 2
            return
        if not group or group[0].is_bare:
            raise RuntimeError("Postgres refuses a turn whatever it records")
        logger.error("attempt %s could not be stored as it is", group[0].attempt_id)
        self._results[0] = group[0].bare()

    def _reconnect(self) -> None:
        """Connect to Postgres, carrying on with the network meanwhile. Raises when it stays away for a whole lease."""
        deadline = time.monotonic() + GIVE_UP_S
        while not self._is_connected():
            if time.monotonic() > deadline:
                raise psycopg.OperationalError("Postgres stayed away for a whole lease")
            self._results.extend(self._sender.poll(RECONNECT_S, now=self._clock.now))
            if not self._sender.in_flight:
                time.sleep(RECONNECT_S)

    def _sync_clock(self) -> None:
        """Again and again, as a drain may run for days: crystals drift, and a virtual machine that was paused lags."""
        if self._clock.is_stale:
            self._clock.set(self._store.clock())

    def _is_connected(self) -> bool:
        try:
            if not self._store.is_connected:
                self._store.connect()
            self._sync_clock()
        except psycopg.OperationalError:
            self._store.close()
            return False
        return True


def _gone(result: Result) -> Failing:
    return Failing(result.finished_at, result.outcome.reason.value, result.outcome.status)


def _failing(group: list[Result], lane: HeldLane) -> Failing:
    """Since when the lane has failed, and what came of its last attempt in the group."""
    last = [result for result in group if result.pick.endpoint_id == lane.row.endpoint_id][-1]
    since = lane.streak.failing_since or last.finished_at
    return Failing(since, last.outcome.reason.value, last.outcome.status)


def _renew_connection() -> None:
    """Django keeps a connection that broke until the task ends, which may be hours away; the next use makes a new one.
    Not at once: a Postgres that is restarting has no use for hundreds of tries a second."""
    connection.close()
    time.sleep(AFTER_TROUBLE_S)


class Handover:
    """The end of a drain's budget: it stops claiming once another has come, so that healthy traffic never waits."""

    def __init__(self, bell: Doorbell) -> None:
        self._bell = bell
        self._rings_at = time.monotonic() + BUDGET_S
        self._drains_before: int | None = None
        self._next_check_at = 0.0
        self.is_taken = False

    def consider(self) -> None:
        """Ring when the budget is over; afterwards see whether somebody came."""
        now = time.monotonic()
        if now < self._rings_at or now < self._next_check_at or self.is_taken:
            return
        self._next_check_at = now + HANDOVER_CHECK_S
        started = self._bell.drains_started()
        if started < 0:
            return
        if self._drains_before is None:
            self._drains_before = started
            self._bell.ring()
        elif started > self._drains_before:
            self.is_taken = True
