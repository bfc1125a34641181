"""Ordered endpoints: one at a time and in the order of publication, whatever happens in between."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deliveries.engine.store import LEASE, MOST_UNCOUNTED
from deliveries.models import Attempt, Delivery, Lane, LaneEntry
from deliveries.services.replay import begin_again
from deliveries.services.sweep import sweep
from deliveries.tasks import settle_endpoints
from dispatcher.outcomes import Reason
from dispatcher.retry import DEFAULT_SCHEDULE
from subscriptions.models import Endpoint
from tests.deliveries.engine.conftest import HandDrain, result

pytestmark = pytest.mark.django_db(transaction=True)

Make = Callable[..., Any]
FAILED, DELIVERED = Reason.HTTP_SERVER_ERROR, Reason.DELIVERED


@pytest.fixture(autouse=True)
def _silent_bell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deliveries.doorbell.Doorbell.ring", lambda self: True)


@pytest.fixture
def now() -> datetime:
    """A little ahead of the database's own clock, by which lanes are marked due."""
    return datetime.now(UTC) + timedelta(seconds=1)


@pytest.fixture
def endpoint(make_merchant: Make, make_endpoint: Make, make_type: Make) -> Endpoint:
    make_type("invoice.paid")
    made: Endpoint = make_endpoint(make_merchant("alice"), ordered=True)
    return made


@pytest.fixture
def publish(endpoint: Endpoint, publish_many: Make, now: datetime) -> Callable[[int], None]:
    return lambda count: publish_many("alice", count, now=now)


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def land(drain: HandDrain, picks: list[Any], reason: Reason, *, now: datetime) -> list[Any]:
    """What is sent next, once these are done."""
    return drain.turn(now=now, results=[result(pick, reason, now=now) for pick in picks]).picks


def drain_all(drain: HandDrain, *, now: datetime, picks: list[Any] | None = None) -> list[bytes]:
    """Deliver whatever may be sent now, and return the payloads as they went out."""
    seen, picks = [], drain.turn(now=now).picks if picks is None else picks
    while picks:
        assert len(picks) == 1
        seen.append(picks[0].payload)
        picks = land(drain, picks, DELIVERED, now=now)
    return seen


def test_across_retries_of_every_one(publish: Callable[[int], None], drain: HandDrain, now: datetime) -> None:
    publish(3)
    seen = []
    for _ in range(3):
        [pick] = drain.turn(now=now).picks
        assert land(drain, [pick], FAILED, now=now) == []
        assert drain.turn(now=now + seconds(9.9)).picks == []
        [again] = drain.turn(now=now + seconds(10)).picks
        seen += [pick.payload, again.payload]
        now += seconds(10)
        drain.turn(now=now, results=[result(again, DELIVERED, now=now)], is_claiming=False)
    assert seen == [b"0", b"0", b"1", b"1", b"2", b"2"]


def test_across_the_death_of_a_worker(
    publish: Callable[[int], None], make_drain: Callable[[], HandDrain], now: datetime
) -> None:
    publish(3)
    [pick] = make_drain().turn(now=now).picks
    assert make_drain().turn(now=now + LEASE - seconds(1)).picks == []
    assert drain_all(make_drain(), now=now + LEASE) == [b"0", b"1", b"2"]
    reasons = Attempt.objects.filter(delivery_id=pick.delivery_id).order_by("number").values_list("reason", flat=True)
    assert list(reasons) == ["interrupted", "delivered"]


def test_across_the_death_of_a_worker_while_the_lane_waits(
    publish: Callable[[int], None], make_drain: Callable[[], HandDrain], now: datetime
) -> None:
    publish(2)
    first = make_drain()
    land(first, first.turn(now=now).picks, FAILED, now=now)
    other = make_drain()
    assert other.turn(now=now + seconds(9)).picks == []
    assert drain_all(other, now=now + seconds(10)) == [b"0", b"1"]


def test_a_delivery_that_kills_its_workers_is_set_aside_and_the_next_one_goes(
    publish: Callable[[int], None], make_drain: Callable[[], HandDrain], now: datetime
) -> None:
    publish(2)
    for _ in range(MOST_UNCOUNTED):
        [pick] = make_drain().turn(now=now).picks
        assert pick.payload == b"0"
        now += LEASE
    assert drain_all(make_drain(), now=now) == [b"1"]
    assert [d.status for d in Delivery.objects.order_by("id")] == ["held", "delivered"]


def test_one_that_cannot_be_sent_waits_through_the_schedule_and_is_then_set_aside(
    publish: Callable[[int], None], drain: HandDrain, now: datetime
) -> None:
    publish(2)
    for wait in (0, *DEFAULT_SCHEDULE):
        now += seconds(wait)
        [pick] = drain.turn(now=now).picks
        assert pick.payload == b"0"
        picks = land(drain, [pick], Reason.INTERNAL_ERROR, now=now)
    assert drain_all(drain, now=now, picks=picks) == [b"1"]
    first = Delivery.objects.order_by("id")[0]
    assert (first.status, first.attempts_counted) == ("held", 0)


def test_one_whose_schedule_is_used_up_has_failed_and_the_next_one_goes(
    publish: Callable[[int], None], drain: HandDrain, now: datetime
) -> None:
    publish(2)
    picks: list[Any] = []
    for wait in (0, *DEFAULT_SCHEDULE):
        now += seconds(wait)
        # Ten failures open the breaker as well, which has its own test.
        Lane.objects.update(attempts=0, failures=0)
        [pick] = drain.turn(now=now).picks
        picks = land(drain, [pick], FAILED, now=now)
    assert drain_all(drain, now=now, picks=picks) == [b"1"]
    assert [d.status for d in Delivery.objects.order_by("id")] == ["failed", "delivered"]


def test_across_an_open_breaker(publish: Callable[[int], None], drain: HandDrain, now: datetime) -> None:
    publish(3)
    Lane.objects.update(half_started_at=now, attempts=9, failures=9)
    [pick] = drain.turn(now=now).picks
    assert land(drain, [pick], FAILED, now=now) == []
    # The retry would be due after ten seconds.
    assert Lane.objects.get().not_before == now + seconds(30)
    assert drain.turn(now=now + seconds(29)).picks == []
    [probe] = drain.turn(now=now + seconds(30)).picks
    assert land(drain, [probe], FAILED, now=now + seconds(31)) == []
    # The breaker would let it out after 60 s, its schedule says 40.
    assert drain.turn(now=now + seconds(90)).picks == []
    assert drain_all(drain, now=now + seconds(91)) == [b"0", b"1", b"2"]


class TestReplays:
    def test_of_the_first_one_ends_its_wait_and_keeps_its_place(
        self, publish: Callable[[int], None], endpoint: Endpoint, drain: HandDrain, now: datetime
    ) -> None:
        publish(3)
        [pick] = drain.turn(now=now).picks
        land(drain, [pick], FAILED, now=now)
        begin_again(delivery_ids=[pick.delivery_id], endpoint_ids=[endpoint.id], now=now)
        assert drain_all(drain, now=now + seconds(1)) == [b"0", b"1", b"2"]

    def test_of_a_later_one_waits_its_turn(
        self, publish: Callable[[int], None], endpoint: Endpoint, drain: HandDrain, now: datetime
    ) -> None:
        publish(3)
        land(drain, drain.turn(now=now).picks, FAILED, now=now)
        last = Delivery.objects.latest("id")
        begin_again(delivery_ids=[last.id], endpoint_ids=[endpoint.id], now=now)
        assert drain.turn(now=now + seconds(9)).picks == []
        assert drain_all(drain, now=now + seconds(10)) == [b"0", b"1", b"2"]

    def test_of_many_that_are_done_go_out_as_they_were_published_behind_what_waits(
        self, publish: Callable[[int], None], endpoint: Endpoint, drain: HandDrain, publish_many: Make, now: datetime
    ) -> None:
        publish(5)
        assert len(drain_all(drain, now=now)) == 5
        done = list(Delivery.objects.order_by("-id").values_list("id", flat=True))
        publish_many("alice", 1, now=now, type="invoice.paid")
        begin_again(delivery_ids=done, endpoint_ids=[endpoint.id], now=now + timedelta(hours=1))
        seen = drain_all(drain, now=now + seconds(5))
        assert seen == [b"0", b"0", b"1", b"2", b"3", b"4"]
        assert list(Attempt.objects.order_by("id").values_list("trigger", flat=True))[5:] == ["event"] + ["replay"] * 5


def test_what_was_held_while_the_endpoint_was_disabled_is_released_in_order(
    publish: Callable[[int], None], endpoint: Endpoint, drain: HandDrain, now: datetime
) -> None:
    publish(3)
    [pick] = drain.turn(now=now).picks
    Endpoint.objects.update(is_active=False)
    land(drain, [pick], FAILED, now=now)
    publish(2)
    assert set(Delivery.objects.values_list("status", flat=True)) == {"held"}
    Endpoint.objects.update(is_active=True)
    held = list(Delivery.objects.order_by("?").values_list("id", flat=True))
    begin_again(delivery_ids=held, endpoint_ids=[endpoint.id], now=now)
    assert drain_all(drain, now=now + seconds(1)) == [b"0", b"1", b"2", b"0", b"1"]


class TestOrderWished:
    """The endpoint begins to want order while deliveries wait."""

    @pytest.fixture(autouse=True)
    def _unordered(self, endpoint: Endpoint) -> None:
        Endpoint.objects.update(ordered=False, max_in_flight=2)

    def test_one_that_waits_for_its_retry_takes_its_place_again(
        self, publish: Callable[[int], None], drain: HandDrain, now: datetime
    ) -> None:
        publish(4)
        first, second = drain.turn(now=now).picks
        Endpoint.objects.update(ordered=True)
        assert land(drain, [first], FAILED, now=now) == []
        # Nothing more leaves before what is in the air has landed.
        assert drain.turn(now=now + seconds(1)).picks == []
        assert land(drain, [second], FAILED, now=now + seconds(2)) == []
        assert drain.turn(now=now + seconds(9.9)).picks == []
        [again] = drain.turn(now=now + seconds(10)).picks
        assert again.payload == b"0"
        # The second has a wait of its own, no shorter than the schedule says.
        assert land(drain, [again], DELIVERED, now=now + seconds(10)) == []
        assert drain.turn(now=now + seconds(11.9)).picks == []
        assert drain_all(drain, now=now + seconds(12)) == [b"1", b"2", b"3"]

    def test_also_where_more_wait_than_one_turn_may_move(
        self, publish: Callable[[int], None], drain: HandDrain, now: datetime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("deliveries.engine.store.SETTLE_ROWS", 2)
        Endpoint.objects.update(max_in_flight=7)
        publish(7)
        Lane.objects.update(window=7)
        land(drain, drain.turn(now=now).picks, FAILED, now=now)
        # Seven failures and three deliveries would open the breaker.
        Lane.objects.update(attempts=0, failures=0)
        Endpoint.objects.update(ordered=True)
        publish(1)
        later = now + seconds(20)
        turns = 0
        while not (picks := drain.turn(now=later).picks):
            turns += 1
        # The eighth is due already, and all that were published before it go first.
        seen = drain_all(drain, now=later, picks=picks)
        assert (turns, seen) == (3, [b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"0"])


class TestOrderNoLongerWished:
    def test_others_go_at_once_and_the_retry_keeps_its_time(
        self, publish: Callable[[int], None], drain: HandDrain, now: datetime
    ) -> None:
        publish(3)
        land(drain, drain.turn(now=now).picks, FAILED, now=now)
        Endpoint.objects.update(ordered=False)
        Lane.objects.update(due_at=now, retry_at=None)
        # An ordered lane's window is one, so the others go one by one until it has grown.
        assert drain_all(drain, now=now + seconds(1)) == [b"1", b"2"]
        lane = Lane.objects.get()
        assert (lane.not_before, lane.due_at) == (None, now + seconds(10))
        assert drain.turn(now=now + seconds(9.9)).picks == []
        [again] = drain.turn(now=now + seconds(10)).picks
        assert again.payload == b"0"

    def test_the_sweep_ends_the_wait_that_nobody_told_of(
        self, publish: Callable[[int], None], endpoint: Endpoint, drain: HandDrain, now: datetime
    ) -> None:
        publish(3)
        land(drain, drain.turn(now=now).picks, FAILED, now=now)
        assert sweep() == []
        Endpoint.objects.update(ordered=False)
        assert sweep() == [endpoint.id]
        assert drain_all(drain, now=now + seconds(1)) == [b"1", b"2"]

    def test_whoever_changes_the_endpoint_ends_the_wait_at_once(
        self, publish: Callable[[int], None], endpoint: Endpoint, drain: HandDrain, now: datetime
    ) -> None:
        publish(3)
        land(drain, drain.turn(now=now).picks, FAILED, now=now)
        Endpoint.objects.update(ordered=False)
        settle_endpoints([endpoint.public_id])
        assert drain_all(drain, now=now + seconds(1)) == [b"1", b"2"]


def test_a_lane_that_waits_costs_nobody_a_turn(publish: Callable[[int], None], drain: HandDrain, now: datetime) -> None:
    publish(2)
    land(drain, drain.turn(now=now).picks, FAILED, now=now)
    lane = Lane.objects.get()
    assert lane.due_at == lane.not_before == lane.retry_at == now + seconds(10)
    assert drain.turn(now=now + seconds(5)).lanes == {}
    assert LaneEntry.objects.count() == 2
