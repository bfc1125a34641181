"""Drains without a network: turns are taken by hand, and outcomes are whatever the test says."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from deliveries.engine.store import Store
from deliveries.engine.turn import Plan, Turn
from deliveries.engine.values import HeldLane, Pick, Result, Sent
from deliveries.services import NewEvent, publish_batch
from dispatcher.ids import new_id
from dispatcher.outcomes import Outcome, Reason
from dispatcher.retry import DEFAULT_SCHEDULE, decide


@dataclass
class HandDrain:
    """A drain whose every step the test takes itself."""

    store: Store = field(default_factory=Store)
    lanes: dict[UUID, HeldLane] = field(default_factory=dict)

    def turn(self, *, now: datetime, results: list[Result] | None = None, **changed: Any) -> Plan:
        options: dict[str, Any] = {"returned": [], "free": 1000, "may_be_suspect": True, "is_claiming": True}
        options |= changed
        plan = Turn(store=self.store, held=self.lanes, results=results or [], now=now, **options).take()
        for endpoint_id in plan.lost:
            self.lanes.pop(endpoint_id, None)
        for endpoint_id, lane in plan.lanes.items():
            self.lanes.pop(endpoint_id, None)
            if lane.flying:
                self.lanes[endpoint_id] = lane
        return plan


def result(pick: Pick, reason: Reason, *, now: datetime, status: int | None = None) -> Result:
    outcome = Outcome(reason, status)
    decision = decide(
        outcome,
        attempts_counted=pick.attempts_counted,
        attempts_made=pick.attempts_counted + pick.attempts_uncounted,
        schedule=DEFAULT_SCHEDULE,
        now=now,
        jitter=0,
    )
    next_at = None if decision.wait_s is None else now + timedelta(seconds=decision.wait_s)
    return Result(new_id(), pick, Sent("https://r.example/", "", None), outcome, decision, now, now, next_at)


@pytest.fixture
def make_drain() -> Iterator[Callable[[], HandDrain]]:
    made: list[HandDrain] = []

    def make() -> HandDrain:
        drain = HandDrain()
        drain.store.connect()
        made.append(drain)
        return drain

    yield make
    for drain in made:
        drain.store.close()


@pytest.fixture
def drain(make_drain: Callable[[], HandDrain]) -> HandDrain:
    return make_drain()


@pytest.fixture
def publish_many() -> Callable[..., None]:
    def publish(reference: str, count: int, *, now: datetime, type: str = "invoice.paid") -> None:  # noqa: A002
        publish_batch([NewEvent(type, b"%d" % n, reference) for n in range(count)], scope="t", now=now)

    return publish


@pytest.fixture
def count_statements(monkeypatch: pytest.MonkeyPatch) -> Callable[[Store], Any]:
    """Counts what a store sends to Postgres, besides BEGIN and COMMIT."""

    @contextmanager
    def counting(store: Store) -> Iterator[list[str]]:
        seen: list[str] = []
        connection = store._open
        execute = connection.execute

        def spy(sql: Any, *args: Any, **kwargs: Any) -> Any:
            seen.append(sql)
            return execute(sql, *args, **kwargs)

        monkeypatch.setattr(connection, "execute", spy)
        yield seen
        monkeypatch.undo()

    return counting
