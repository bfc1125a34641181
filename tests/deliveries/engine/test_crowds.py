"""Capacity that is running out is shared, and whoever comes back is let in gently."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deliveries.engine.turn import CROWDED_ROOM
from deliveries.models import Delivery, Lane
from deliveries.services.replay import begin_again
from dispatcher.outcomes import Reason
from subscriptions.models import Endpoint
from tests.deliveries.engine.conftest import HandDrain, result

pytestmark = pytest.mark.django_db(transaction=True)

Make = Callable[..., Any]
CAPACITY = 2000


@pytest.fixture(autouse=True)
def _silent_bell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deliveries.doorbell.Doorbell.ring", lambda self: True)


@pytest.fixture
def now() -> datetime:
    """A little ahead of the database's own clock, by which lanes are marked due."""
    return datetime.now(UTC) + timedelta(seconds=1)


@pytest.fixture
def publish(make_merchant: Make, make_endpoint: Make, make_type: Make, publish_many: Make, now: datetime) -> Make:
    """So many endpoints of a merchant, each with a full window and so many deliveries."""
    make_type("invoice.paid")

    def publish(name: str, *, endpoints: int, events: int) -> list[Any]:
        merchant = make_merchant(name)
        made = [make_endpoint(merchant).id for _ in range(endpoints)]
        publish_many(name, events, now=now)
        Lane.objects.filter(endpoint_id__in=made).update(window=50)
        return made

    return publish


def fill(drain: HandDrain, *, now: datetime) -> int:
    """Turn after turn, as a drain of 2,000 would, until nothing more may be sent. Returns what is in the air."""
    flying = 0
    while True:
        free = CAPACITY - flying
        picks = drain.turn(now=now, free=free, uncrowded=free - CAPACITY // 2).picks
        if not picks:
            return flying
        flying += len(picks)


def test_lanes_with_full_windows_fill_half_and_then_get_a_few_each(
    publish: Make, drain: HandDrain, now: datetime
) -> None:
    dying = publish("alice", endpoints=40, events=100)
    flying = fill(drain, now=now)
    shares = [len(drain.lanes[endpoint_id].flying) for endpoint_id in dying]
    assert sum(shares) == flying
    # About twenty of them half of the capacity, the others four each; without it all 2,000 were taken.
    assert (min(shares), shares.count(50), shares.count(CROWDED_ROOM)) == (CROWDED_ROOM, 20, 19)
    assert flying < CAPACITY // 2 + 50 + 20 * CROWDED_ROOM
    [healthy] = publish("bob", endpoints=1, events=10)
    free = CAPACITY - flying
    picks = drain.turn(now=now, free=free, uncrowded=free - CAPACITY // 2).picks
    assert [pick.endpoint_id for pick in picks] == [healthy] * CROWDED_ROOM


def test_a_lane_that_is_alone_gets_its_window(publish: Make, drain: HandDrain, now: datetime) -> None:
    publish("alice", endpoints=1, events=100)
    assert fill(drain, now=now) == 50


def test_a_lane_that_was_crowded_out_goes_on_when_it_lands(publish: Make, drain: HandDrain, now: datetime) -> None:
    publish("alice", endpoints=1, events=100)
    picks = drain.turn(now=now, free=1000, uncrowded=0).picks
    assert len(picks) == CROWDED_ROOM
    # Nothing of it is looked at meanwhile.
    assert drain.turn(now=now, free=1000, uncrowded=0).lanes == {}
    done = [result(pick, Reason.DELIVERED, now=now) for pick in picks]
    assert len(drain.turn(now=now, results=done, free=1000, uncrowded=1000).picks) == 50


def rounds(drain: HandDrain, *, now: datetime, picks: list[Any] | None = None) -> list[int]:
    """How many leave at once, round after round, while the receiver takes all."""
    seen, picks = [], drain.turn(now=now).picks if picks is None else picks
    while picks:
        seen.append(len(picks))
        picks = drain.turn(now=now, results=[result(pick, Reason.DELIVERED, now=now) for pick in picks]).picks
    return seen


def test_after_a_timeout_the_window_grows_from_one(publish: Make, drain: HandDrain, now: datetime) -> None:
    publish("alice", endpoints=1, events=200)
    picks = drain.turn(now=now).picks
    assert len(picks) == 50
    # Too few for the breaker, which has a test of its own.
    done = [result(pick, Reason.RESPONSE_TIMEOUT, now=now) for pick in picks[:3]]
    drain.turn(now=now, results=done, is_claiming=False)
    late = [result(pick, Reason.CANCELLED, now=now) for pick in picks[3:]]
    picks = drain.turn(now=now, results=late).picks
    seen = rounds(drain, now=now, picks=picks)
    assert seen[:6] == [1, 2, 4, 8, 16, 32]
    assert max(seen) == 50
    assert sum(seen) == 197


def test_after_being_switched_on_again_a_large_backlog_is_let_out_in_growing_rounds(
    publish: Make, drain: HandDrain, now: datetime
) -> None:
    [endpoint_id] = publish("alice", endpoints=1, events=300)
    Endpoint.objects.update(is_active=False)
    drain.turn(now=now)
    assert set(Delivery.objects.values_list("status", flat=True)) == {"held"}
    Endpoint.objects.update(is_active=True)
    held = list(Delivery.objects.values_list("id", flat=True))
    begin_again(delivery_ids=held, endpoint_ids=[endpoint_id], now=now)
    seen = rounds(drain, now=now)
    assert seen[:6] == [1, 2, 4, 8, 16, 32]
    assert sum(seen) == 300
