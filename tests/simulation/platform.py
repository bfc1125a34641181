"""A discrete-event simulation: drains with the engine's own turns, receivers that take their time, a Postgres with so
many processors. Time is counted, never measured, and chance has a seed: a run says the same on every machine.
"""

import heapq
import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import UUID

from deliveries.engine.drain import CROWD_SHARE, GROUP_SIZE, GROUP_WAIT_S, LOOK_S, SUSPECT_SHARE
from deliveries.engine.store import Store
from deliveries.engine.turn import Turn
from deliveries.engine.values import HeldLane, Pick, Result, Sent
from dispatcher.ids import new_id
from dispatcher.outcomes import Outcome, Reason
from dispatcher.retry import DEFAULT_SCHEDULE, decide
from tests.simulation.tables import MemoryStore, Tables

EPOCH = datetime(2026, 3, 1, tzinfo=UTC)
TIMEOUT_S = 10.0
RING_S = 0.001
# From a publish to the drain that it called.


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds of processor. The defaults are those that docs/scaling.md counts with."""

    worker_each: float = 105e-6
    postgres_each: float = 50e-6
    postgres_turn: float = 1e-3


@dataclass(frozen=True, slots=True)
class Receiver:
    """How an endpoint answers: after `answer_s`, more or less, or not at all."""

    answer_s: float = 0.02
    hangs: bool = False


@dataclass(slots=True)
class Delivered:
    """One that arrived: whose it was, when it was published, and how long it waited to be sent, in seconds."""

    endpoint_id: UUID
    published_s: float
    waited_s: float
    at_s: float


class Postgres:
    """Work is done in the order in which it comes, by as many processors as there are."""

    def __init__(self, processors: int) -> None:
        self._free_at = [0.0] * processors
        self.busy_s = 0.0

    def work(self, at_s: float, cost_s: float) -> float:
        """When it is done."""
        began = max(at_s, heapq.heappop(self._free_at))
        heapq.heappush(self._free_at, began + cost_s)
        self.busy_s += cost_s
        return began + cost_s


@dataclass
class Platform:
    """The whole of it. `run` takes what is published, in order of time."""

    drains: int
    postgres_processors: int
    receivers: dict[UUID, Receiver]
    capacity: int = 2000
    costs: Costs = field(default_factory=Costs)
    seed: int = 1
    tables: Tables = field(default_factory=Tables)
    delivered: list[Delivered] = field(default_factory=list)
    timeouts: int = 0
    recorded_s: float = 0.0
    now_s: float = 0.0

    def __post_init__(self) -> None:
        for endpoint_id in self.receivers:
            self.tables.add_lane(endpoint_id)
        self.postgres = Postgres(self.postgres_processors)
        self.dice = random.Random(self.seed)
        self._published: dict[UUID, float] = {}

    def run(self, publishes: Iterable[tuple[float, UUID]], *, until_s: float) -> None:
        """`publishes` are moments and endpoints."""
        coming = iter(publishes)
        drains = [_Drain(self) for _ in range(self.drains)]
        agenda = [(0.0, number) for number in range(self.drains)]
        following = next(coming, None)
        while agenda and (moment := agenda[0])[0] <= until_s:
            if following is not None and following[0] <= moment[0]:
                self._publish(*following)
                following = next(coming, None)
                continue
            at_s, number = heapq.heappop(agenda)
            self.now_s = max(self.now_s, at_s)
            sleeps_until_s = drains[number].step(at_s)
            if sleeps_until_s is None:
                # Nothing to do until somebody rings.
                if following is None and not any(one.is_busy for one in drains):
                    continue
                sleeps_until_s = max(at_s + LOOK_S, following[0] + RING_S if following is not None else 0.0)
            heapq.heappush(agenda, (sleeps_until_s, number))

    def _publish(self, at_s: float, endpoint_id: UUID) -> None:
        delivery_id = self.tables.publish(endpoint_id, now=moment_of(at_s))
        self._published[delivery_id] = at_s

    def answer(self, pick: Pick, at_s: float) -> tuple[float, Reason]:
        """When a request that is sent now ends, and how."""
        receiver = self.receivers[pick.endpoint_id]
        if receiver.hangs:
            self.timeouts += 1
            return at_s + TIMEOUT_S, Reason.RESPONSE_TIMEOUT
        took_s = receiver.answer_s * self.dice.uniform(0.5, 1.5)
        published_s = self._published[pick.delivery_id]
        self.delivered.append(Delivered(pick.endpoint_id, published_s, at_s - published_s, at_s + took_s))
        return at_s + took_s, Reason.DELIVERED


class _Drain:
    """As deliveries.engine.drain goes round, with counted time."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._store = MemoryStore(platform.tables)
        self._lanes: dict[UUID, HeldLane] = {}
        self._flying: list[tuple[float, int, Pick, Reason]] = []
        self._results: list[tuple[float, Pick, Reason]] = []
        self._flying_by_lane: defaultdict[UUID, int] = defaultdict(int)
        self._is_hungry = True
        self._next_look_s = 0.0
        self._count = 0

    @property
    def is_busy(self) -> bool:
        return bool(self._flying or self._results)

    def step(self, at_s: float) -> float | None:
        """What is to be done at this moment; when to come again, or None when there is nothing to wait for."""
        while self._flying and self._flying[0][0] <= at_s:
            ended_s, _, pick, reason = heapq.heappop(self._flying)
            self._results.append((ended_s, pick, reason))
            self._flying_by_lane[pick.endpoint_id] -= 1
        if self._is_turn_due(at_s):
            return self._take_turn(at_s)
        moments = [self._next_look_s]
        if self._results:
            moments.append(self._results[0][0] + GROUP_WAIT_S)
        if self._flying:
            moments.append(self._flying[0][0])
        return max(at_s + 1e-6, min(moments))

    def _is_turn_due(self, at_s: float) -> bool:
        if self._results and (len(self._results) >= GROUP_SIZE or not self._flying):
            return True
        if self._results and at_s - self._results[0][0] >= GROUP_WAIT_S:
            return True
        return at_s >= self._next_look_s or (self._is_hungry and self._free > 0)

    @property
    def _free(self) -> int:
        return self._platform.capacity - len(self._flying)

    def _take_turn(self, at_s: float) -> float | None:
        platform, now = self._platform, moment_of(at_s)
        group = [_result(pick, reason, now) for _, pick, reason in self._results[:GROUP_SIZE]]
        del self._results[:GROUP_SIZE]
        plan = Turn(
            store=cast("Store", self._store),
            held=self._lanes,
            results=group,
            returned=[],
            free=self._free,
            uncrowded=self._free - int(platform.capacity * (1 - CROWD_SHARE)),
            may_be_suspect=self._may_be_suspect(),
            is_claiming=True,
            now=now,
        ).take()
        for endpoint_id, lane in plan.lanes.items():
            if lane.flying:
                self._lanes[endpoint_id] = lane
            else:
                self._lanes.pop(endpoint_id, None)
        costs = platform.costs
        cost_s = costs.postgres_turn if plan.lanes else 0.0
        # Each delivery is claimed once and recorded once.
        cost_s += costs.postgres_each * (len(plan.picks) + len(group)) / 2
        done_s = platform.postgres.work(at_s, cost_s)
        platform.recorded_s = max(platform.recorded_s, done_s) if group else platform.recorded_s
        done_s += costs.worker_each * (len(plan.picks) + len(group)) / 2
        for pick in plan.picks:
            ends_s, reason = platform.answer(pick, done_s)
            self._count += 1
            self._flying_by_lane[pick.endpoint_id] += 1
            heapq.heappush(self._flying, (ends_s, self._count, pick, reason))
        self._is_hungry, self._next_look_s = plan.is_hungry, done_s + LOOK_S
        if not self.is_busy and not plan.picks and not self._is_hungry:
            due_at = platform.tables.next_due()
            return None if due_at is None else max(done_s + LOOK_S, (due_at - EPOCH).total_seconds())
        return done_s

    def _may_be_suspect(self) -> bool:
        suspects = sum(self._flying_by_lane[one] for one, lane in self._lanes.items() if lane.window.is_suspect)
        return suspects < self._platform.capacity * SUSPECT_SHARE


def _result(pick: Pick, reason: Reason, now: datetime) -> Result:
    outcome = Outcome(reason, 200 if reason is Reason.DELIVERED else None)
    decision = decide(
        outcome,
        attempts_counted=pick.attempts_counted,
        attempts_made=pick.attempts_made,
        schedule=DEFAULT_SCHEDULE,
        now=now,
        jitter=0,
    )
    next_at = None if decision.wait_s is None else now + timedelta(seconds=decision.wait_s)
    return Result(pick.delivery_id, pick, SENT, outcome, decision, now, now, next_at)


SENT = Sent("https://r.example/", "", None)


def moment_of(at_s: float) -> datetime:
    return EPOCH + timedelta(seconds=at_s)


def endpoints(count: int) -> list[UUID]:
    return [new_id() for _ in range(count)]


def steady(
    rate: float, targets: list[UUID], *, seconds: float, seed: int = 1, begin_s: float = 0.0
) -> list[tuple[float, UUID]]:
    """Publishes that come by chance, so many a second on the average."""
    dice, at_s = random.Random(seed), begin_s
    found = []
    while (at_s := at_s + dice.expovariate(rate)) < begin_s + seconds:
        found.append((at_s, dice.choice(targets)))
    return found


def percentile(values: Iterable[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def waits(platform: Platform, of: Callable[[UUID], bool]) -> list[float]:
    return [one.waited_s for one in platform.delivered if of(one.endpoint_id)]
