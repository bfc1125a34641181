"""The breaker in its lane: who fails is held back without losing attempts, probed once, and comes back gently."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deliveries.engine.values import Pick
from deliveries.models import Attempt, Delivery, Lane, LaneEntry
from deliveries.services import lanes
from deliveries.services.replay import begin_again
from deliveries.services.sweep import sweep
from deliveries.tasks import settle_endpoints
from dispatcher.outcomes import Reason
from dispatcher.streak import Verdict
from subscriptions.models import Endpoint
from tests.deliveries.engine.conftest import HandDrain, result

pytestmark = pytest.mark.django_db(transaction=True)

FAILED, DELIVERED = Reason.HTTP_SERVER_ERROR, Reason.DELIVERED
FIVE_DAYS = timedelta(days=5)


@pytest.fixture
def now() -> datetime:
    """A little ahead of the database's own clock, by which lanes are marked due."""
    return datetime.now(UTC) + timedelta(seconds=1)


@pytest.fixture
def endpoint(make_merchant: Callable[..., Any], make_endpoint: Callable[..., Any], make_type: Any) -> Endpoint:
    make_type("invoice.paid")
    made: Endpoint = make_endpoint(make_merchant("alice"), max_in_flight=50)
    return made


@pytest.fixture
def publish(publish_many: Callable[..., None], now: datetime) -> Callable[[int], None]:
    def many(count: int) -> None:
        publish_many("alice", count, now=now)
        Lane.objects.update(window=50)

    return many


def trip(drain: HandDrain, *, now: datetime) -> list[Pick]:
    """Ten failures at once. Returns what was sent."""
    picks = drain.turn(now=now).picks
    assert len(picks) == 10
    plan = drain.turn(now=now, results=[result(pick, FAILED, now=now) for pick in picks])
    assert plan.picks == []
    return picks


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def test_ten_failures_hold_the_lane_back_for_half_a_minute(
    endpoint: Endpoint, publish: Callable[[int], None], drain: HandDrain, now: datetime
) -> None:
    publish(10)
    trip(drain, now=now)
    lane = Lane.objects.get()
    assert (lane.open_until, lane.not_before, lane.due_at) == (now + seconds(30),) * 3
    assert (lane.open_s, lane.window, lane.lease_token) == (30, 1, None)
    # Their retries came due after ten seconds; nothing leaves, and nobody is charged for it.
    assert drain.turn(now=now + seconds(29.9)).picks == []
    assert set(Delivery.objects.values_list("status", "attempts_made", "attempts_counted")) == {("pending", 1, 1)}


def test_nothing_is_held_back_by_nine(
    endpoint: Endpoint, publish: Callable[[int], None], drain: HandDrain, now: datetime
) -> None:
    publish(9)
    picks = drain.turn(now=now).picks
    drain.turn(now=now, results=[result(pick, FAILED, now=now) for pick in picks])
    lane = Lane.objects.get()
    assert (lane.open_until, lane.attempts, lane.failures) == (None, 9, 9)
    assert len(drain.turn(now=now + seconds(12)).picks) == 9


def test_one_probe_at_a_time_and_each_that_fails_doubles_the_wait(
    endpoint: Endpoint, publish: Callable[[int], None], drain: HandDrain, now: datetime
) -> None:
    publish(10)
    trip(drain, now=now)
    for wait in (30, 60, 120, 240, 480, 600, 600):
        now += seconds(wait)
        assert drain.turn(now=now - seconds(0.1)).picks == []
        (probe,) = drain.turn(now=now).picks
        assert drain.turn(now=now + seconds(1)).picks == []
        now += seconds(2)
        drain.turn(now=now, results=[result(probe, FAILED, now=now)])
    assert Lane.objects.get().open_s == 600
    assert Attempt.objects.count() == 17


def test_a_probe_that_is_delivered_lets_the_backlog_out_in_growing_rounds(
    endpoint: Endpoint, publish: Callable[[int], None], drain: HandDrain, now: datetime
) -> None:
    publish(10)
    trip(drain, now=now)
    publish(200)
    Lane.objects.update(window=1)
    now += seconds(40)
    rounds = []
    picks = drain.turn(now=now).picks
    while picks:
        rounds.append(len(picks))
        now += seconds(0.1)
        picks = drain.turn(now=now, results=[result(pick, DELIVERED, now=now) for pick in picks]).picks
    assert rounds[:6] == [1, 2, 4, 8, 16, 32]
    assert max(rounds) == 50
    assert sum(rounds) == 210
    lane = Lane.objects.get()
    assert (lane.open_until, lane.open_s, lane.not_before, lane.due_at) == (None, 0, None, None)


def test_another_drain_knows_of_it(
    endpoint: Endpoint, publish: Callable[[int], None], make_drain: Callable[[], HandDrain], now: datetime
) -> None:
    publish(10)
    trip(make_drain(), now=now)
    other = make_drain()
    assert other.turn(now=now + seconds(29)).picks == []
    assert len(other.turn(now=now + seconds(30)).picks) == 1
    assert make_drain().turn(now=now + seconds(31)).picks == []


def test_a_straggler_that_is_delivered_closes_it_at_once(
    endpoint: Endpoint, publish: Callable[[int], None], drain: HandDrain, now: datetime
) -> None:
    publish(12)
    picks = drain.turn(now=now).picks
    drain.turn(now=now, results=[result(pick, FAILED, now=now) for pick in picks[:10]])
    assert Lane.objects.get().open_s == 30
    drain.turn(now=now + seconds(1), results=[result(picks[10], DELIVERED, now=now + seconds(1))])
    lane = Lane.objects.get()
    assert (lane.open_until, lane.not_before) == (None, None)


def test_neighbours_are_not_held_back(
    endpoint: Endpoint,
    publish: Callable[[int], None],
    publish_many: Callable[..., None],
    make_merchant: Callable[..., Any],
    make_endpoint: Callable[..., Any],
    drain: HandDrain,
    now: datetime,
) -> None:
    publish(10)
    trip(drain, now=now)
    healthy = make_endpoint(make_merchant("bob"))
    publish_many("bob", 3, now=now)
    assert {pick.endpoint_id for pick in drain.turn(now=now).picks} == {healthy.id}


def test_what_is_our_own_fault_trips_nothing(
    endpoint: Endpoint, publish: Callable[[int], None], drain: HandDrain, now: datetime
) -> None:
    publish(20)
    picks = drain.turn(now=now).picks
    drain.turn(now=now, results=[result(pick, Reason.INTERNAL_ERROR, now=now) for pick in picks])
    lane = Lane.objects.get()
    assert (lane.open_until, lane.attempts, lane.failing_since) == (None, 0, None)


class TestLetOut:
    """By somebody who has a reason to think that the receiver is back."""

    @pytest.fixture(autouse=True)
    def _tripped(
        self, endpoint: Endpoint, publish: Callable[[int], None], drain: HandDrain, now: datetime, monkeypatch: Any
    ) -> None:
        monkeypatch.setattr("deliveries.doorbell.Doorbell.ring", lambda self: True)
        publish(10)
        trip(drain, now=now)

    def test_a_replay_by_hand_is_the_probe(self, endpoint: Endpoint, drain: HandDrain, now: datetime) -> None:
        delivery = Delivery.objects.order_by("id").last()
        assert delivery is not None
        begin_again(delivery_ids=[delivery.id], endpoint_ids=[endpoint.id], now=now + seconds(1))
        Lane.objects.update(due_at=now + seconds(1))
        (probe,) = drain.turn(now=now + seconds(1)).picks
        assert probe.delivery_id == delivery.id
        drain.turn(now=now + seconds(2), results=[result(probe, FAILED, now=now + seconds(2))])
        assert Lane.objects.get().open_until == now + seconds(62)

    def test_so_is_the_first_delivery_after_a_change_of_the_endpoint(
        self, endpoint: Endpoint, drain: HandDrain, now: datetime, monkeypatch: Any
    ) -> None:
        monkeypatch.setattr("django.utils.timezone.now", lambda: now + seconds(15))
        settle_endpoints([endpoint.public_id])
        Lane.objects.update(due_at=now + seconds(15))
        assert len(drain.turn(now=now + seconds(15)).picks) == 1

    def test_an_ordered_wait_goes_on(self, endpoint: Endpoint, now: datetime) -> None:
        Lane.objects.update(retry_at=now + seconds(500))
        lanes.probe_now([endpoint.id], now=now + seconds(1))
        assert Lane.objects.get().not_before == now + seconds(500)

    def test_disabling_it_starts_with_a_clean_slate(self, endpoint: Endpoint, drain: HandDrain, now: datetime) -> None:
        Endpoint.objects.update(is_active=False)
        sweep()
        Lane.objects.update(due_at=now)
        drain.turn(now=now + seconds(1))
        lane = Lane.objects.get()
        assert (lane.open_until, lane.open_s, lane.not_before, lane.failing_since) == (None, 0, None, None)
        assert set(Delivery.objects.values_list("status", flat=True)) == {"held"}
        assert not LaneEntry.objects.exists()


class TestStreak:
    def fail(self, drain: HandDrain, *, now: datetime, reason: Reason = FAILED) -> dict[Any, Verdict]:
        (pick,) = drain.turn(now=now).picks
        return drain.turn(now=now, results=[result(pick, reason, now=now)], disable_after=FIVE_DAYS).verdicts

    def due(self, now: datetime) -> None:
        LaneEntry.objects.update(due_at=now)
        Lane.objects.update(due_at=now, retry_at=None)

    def test_is_warned_of_half_way_once_and_ends_with_disabling(
        self, endpoint: Endpoint, publish: Callable[[int], None], drain: HandDrain, now: datetime
    ) -> None:
        publish(1)
        seen = []
        for days in (0, 2.4, 2.6, 3, 4.9, 5):
            moment = now + timedelta(days=days)
            self.due(moment)
            seen.append(self.fail(drain, now=moment).get(endpoint.id, Verdict.NOTHING))
        nothing = Verdict.NOTHING
        assert seen == [nothing, nothing, Verdict.WARN, nothing, nothing, Verdict.DISABLE]

    def test_a_delivery_ends_it(
        self, endpoint: Endpoint, publish: Callable[[int], None], drain: HandDrain, now: datetime
    ) -> None:
        publish(1)
        self.fail(drain, now=now)
        assert Lane.objects.get().failing_since == now
        moment = now + timedelta(days=4)
        self.due(moment)
        assert self.fail(drain, now=moment, reason=DELIVERED) == {}
        lane = Lane.objects.get()
        assert (lane.failing_since, lane.warned_at) == (None, None)
