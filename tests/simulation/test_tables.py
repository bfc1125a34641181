"""The tables in memory against Postgres: the same turns pick the same deliveries in the same order."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from deliveries import id_ranges
from deliveries.engine.store import Store
from deliveries.engine.values import Pick
from deliveries.models import Lane, LaneEntry
from dispatcher.ids import new_id
from dispatcher.outcomes import Reason
from subscriptions.models import Endpoint
from tests.deliveries.conftest import make_endpoint, make_merchant, make_type  # noqa: F401 - fixtures
from tests.deliveries.engine.conftest import HandDrain, result
from tests.simulation.tables import MemoryStore, Tables

pytestmark = pytest.mark.django_db(transaction=True)

Make = Callable[..., Any]
LANES = 8
STEP = timedelta(milliseconds=7)


class Twins:
    """The same world twice, with as many drains in each."""

    def __init__(self, endpoints: list[Endpoint], drains: int, begun: datetime) -> None:
        self.endpoints, self.begun = endpoints, begun
        self.tables = Tables()
        for endpoint in endpoints:
            self.tables.add_lane(endpoint.id, max_in_flight=endpoint.max_in_flight)
        self.real = [HandDrain() for _ in range(drains)]
        self.memory = [HandDrain(store=_as_store(MemoryStore(self.tables))) for _ in range(drains)]

    def publish(self, endpoint: Endpoint, at: datetime) -> None:
        """By hand, so that both are due at the very same moment."""
        event_id = new_id()
        # A delivery lies in its event's day because its id is the event's, with a place.
        delivery_id = id_ranges.delivery_id(event_id, place=1)
        self.tables.publish(endpoint.id, now=at, delivery_id=delivery_id)
        from deliveries.models import Delivery, Event

        Event.objects.create(
            id=event_id, merchant_id=endpoint.owner_id, type="invoice.paid", payload=b"1", occurred_at=at, created_at=at
        )
        Delivery.objects.create(
            id=delivery_id,
            event_id=event_id,
            endpoint_id=endpoint.id,
            owner_id=endpoint.owner_id,
            event_type="invoice.paid",
            status="pending",
            next_attempt_at=at,
            created_at=at,
        )
        LaneEntry.objects.create(delivery_id=delivery_id, endpoint_id=endpoint.id, due_at=at, trigger="event")
        lane, _ = Lane.objects.get_or_create(endpoint_id=endpoint.id)
        not_before = max(filter(None, [at, lane.not_before]))
        if lane.due_at is None or lane.due_at > not_before:
            Lane.objects.filter(endpoint_id=endpoint.id).update(due_at=not_before)


def _as_store(store: MemoryStore) -> Store:
    return store  # type: ignore[return-value] # all that a turn asks for


@pytest.fixture
def make_twins(make_merchant: Make, make_endpoint: Make, make_type: Make) -> Any:  # noqa: F811
    made: list[Twins] = []
    make_type("invoice.paid")

    def make(drains: int) -> Twins:
        endpoints = [make_endpoint(make_merchant(f"m-{n}"), max_in_flight=5 + n) for n in range(LANES)]
        made.append(Twins(endpoints, drains, timezone.now()))
        for drain in made[-1].real:
            drain.store.connect()
        return made[-1]

    yield make
    for twins in made:
        for drain in twins.real:
            drain.store.close()


@pytest.mark.parametrize("drains", [1, 2])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_turns_pick_the_same(drains: int, seed: int, make_twins: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood in one lane, trickles in the others, some receivers that fail and some that time out, few places."""
    monkeypatch.setattr("deliveries.engine.turn.PICKS_A_TURN", 12)
    monkeypatch.setattr("deliveries.engine.turn.LANES_A_TURN", 4)
    dice = random.Random(seed)
    twins = make_twins(drains)
    at = twins.begun
    for number in range(60):
        at += timedelta(microseconds=10)
        twins.publish(twins.endpoints[0] if number % 2 else dice.choice(twins.endpoints), at)
    flying: list[list[Pick]] = [[] for _ in range(drains)]
    for number in range(60):
        at += STEP
        if number < 30:
            twins.publish(dice.choice(twins.endpoints), at - timedelta(microseconds=dice.randrange(1, 5_000)))
        who = dice.randrange(drains)
        done = dice.sample(flying[who], dice.randint(0, len(flying[who])))
        flying[who] = [pick for pick in flying[who] if pick not in done]
        outcomes = [_outcome(twins.endpoints, pick.endpoint_id) for pick in done]
        plans = [
            drain.turn(
                now=at,
                free=20 - len(flying[who]),
                uncrowded=10 - len(flying[who]),
                results=[result(pick, reason, now=at) for pick, reason in zip(done, outcomes, strict=True)],
            )
            for drain in (twins.real[who], twins.memory[who])
        ]
        picked = [[(pick.endpoint_id, pick.delivery_id) for pick in plan.picks] for plan in plans]
        assert picked[0] == picked[1], f"turn {number}"
        assert plans[0].is_hungry == plans[1].is_hungry
        flying[who] += plans[0].picks
        _compare(twins)
    assert twins.tables.waiting == LaneEntry.objects.count() < 60


def _outcome(endpoints: list[Endpoint], endpoint_id: UUID) -> Reason:
    return {endpoints[2].id: Reason.RESPONSE_TIMEOUT, endpoints[3].id: Reason.HTTP_SERVER_ERROR}.get(
        endpoint_id, Reason.DELIVERED
    )


def _compare(twins: Twins) -> None:
    rows = {lane.endpoint_id: lane for lane in Lane.objects.all()}
    for endpoint_id, lane in twins.tables.lanes.items():
        if endpoint_id in rows:
            row = rows[endpoint_id]
            assert (row.window, row.is_suspect, row.due_at, row.not_before) == (
                *(lane.row.window, lane.row.is_suspect),
                *(lane.due_at, lane.not_before),
            )
            assert sorted(row.in_flight) == sorted(lane.row.in_flight)
