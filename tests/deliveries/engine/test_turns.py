"""Lanes: leased to one drain at a time, in their order, within their limits, and never forgotten."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from deliveries.engine.store import LEASE, MOST_UNCOUNTED
from deliveries.engine.turn import LANES_A_TURN
from deliveries.models import Attempt, Delivery, Lane, LaneEntry
from deliveries.services.sweep import sweep
from dispatcher.outcomes import Reason
from dispatcher.window import INITIAL_SIZE
from subscriptions.models import Endpoint, Merchant
from tests.deliveries.engine.conftest import HandDrain, result

pytestmark = pytest.mark.django_db(transaction=True)

Make = Callable[..., Any]


@pytest.fixture
def endpoint(make_merchant: Make, make_endpoint: Make, make_type: Make) -> Endpoint:
    make_type("invoice.paid")
    made: Endpoint = make_endpoint(make_merchant("alice"))
    return made


@pytest.fixture
def clock() -> datetime:
    """The present: publishing never dates an entry later than the database's own clock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp() + interval '1 second'")
        found: datetime = cursor.fetchone()[0]
        return found


class TestClaiming:
    def test_a_lane_that_the_turn_had_no_picks_left_for_keeps_its_place(
        self,
        make_merchant: Make,
        make_endpoint: Make,
        make_type: Make,
        drain: HandDrain,
        publish_many: Make,
        clock: datetime,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        make_type("invoice.paid")
        lanes = []
        for age, name in enumerate(["carol", "bob", "alice"], start=1):
            lanes.append(make_endpoint(make_merchant(name)).id)
            publish_many(name, 2, now=clock)
            Lane.objects.filter(endpoint_id=lanes[-1]).update(window=1, due_at=clock - timedelta(seconds=age))
        carol, bob, alice = lanes
        monkeypatch.setattr("deliveries.engine.turn.PICKS_A_TURN", 1)
        [pick] = drain.turn(now=clock).picks
        assert pick.endpoint_id == alice
        assert Lane.objects.get(endpoint_id=bob).due_at == clock - timedelta(seconds=2)
        # Served once, it goes behind those that were not.
        order = []
        for number in range(4):
            at = clock + timedelta(milliseconds=number)
            [pick] = drain.turn(now=at, results=[result(pick, Reason.DELIVERED, now=at)]).picks
            order.append(pick.endpoint_id)
        assert order == [bob, carol, alice, bob]

    def test_a_lane_gives_a_window_full_and_keeps_the_rest(
        self, endpoint: Endpoint, drain: HandDrain, publish_many: Make, clock: datetime
    ) -> None:
        publish_many("alice", INITIAL_SIZE + 3, now=clock)
        plan = drain.turn(now=clock)
        lane = Lane.objects.get()
        assert [pick.payload for pick in plan.picks] == [b"%d" % n for n in range(INITIAL_SIZE)]
        assert set(lane.in_flight) == {pick.delivery_id for pick in plan.picks}
        assert (lane.lease_token, lane.leased_until, lane.due_at) == (drain.store.token, clock + LEASE, clock + LEASE)

    def test_two_drains_never_share_a_lane(
        self, endpoint: Endpoint, make_drain: Callable[[], HandDrain], publish_many: Make, clock: datetime
    ) -> None:
        publish_many("alice", 10, now=clock)
        first, second = make_drain(), make_drain()
        assert len(first.turn(now=clock).picks) == INITIAL_SIZE
        assert second.turn(now=clock).picks == []
        publish_many("alice", 1, now=clock)
        assert second.turn(now=clock).picks == []

    def test_answers_make_room_for_more_than_before(
        self, endpoint: Endpoint, drain: HandDrain, publish_many: Make, clock: datetime
    ) -> None:
        publish_many("alice", 100, now=clock)
        picks = drain.turn(now=clock).picks
        again = drain.turn(now=clock, results=[result(pick, Reason.DELIVERED, now=clock) for pick in picks])
        assert len(again.picks) == 2 * INITIAL_SIZE
        assert not {pick.delivery_id for pick in again.picks} & {pick.delivery_id for pick in picks}

    def test_a_timeout_leaves_one_in_flight(
        self, endpoint: Endpoint, drain: HandDrain, publish_many: Make, clock: datetime
    ) -> None:
        publish_many("alice", 100, now=clock)
        picks = drain.turn(now=clock).picks
        again = drain.turn(now=clock, results=[result(pick, Reason.RESPONSE_TIMEOUT, now=clock) for pick in picks])
        lane = Lane.objects.get()
        assert (len(again.picks), lane.window, lane.is_suspect) == (1, 1, True)

    def test_suspects_wait_when_their_share_is_used_up(
        self, endpoint: Endpoint, drain: HandDrain, publish_many: Make, clock: datetime
    ) -> None:
        publish_many("alice", 1, now=clock)
        Lane.objects.update(is_suspect=True)
        assert drain.turn(now=clock, may_be_suspect=False).picks == []
        assert len(drain.turn(now=clock, may_be_suspect=True).picks) == 1

    def test_max_in_flight_is_the_ceiling(
        self, endpoint: Endpoint, drain: HandDrain, publish_many: Make, clock: datetime
    ) -> None:
        Endpoint.objects.update(max_in_flight=2)
        publish_many("alice", 10, now=clock)
        assert len(drain.turn(now=clock).picks) == 2

    def test_what_is_published_meanwhile_is_found_by_the_holder(
        self, endpoint: Endpoint, drain: HandDrain, publish_many: Make, clock: datetime
    ) -> None:
        publish_many("alice", 1, now=clock)
        drain.turn(now=clock)
        publish_many("alice", 1, now=clock)
        assert len(drain.turn(now=clock).picks) == 1
        assert len(Lane.objects.get().in_flight) == 2

    def test_free_capacity_is_the_limit(
        self, endpoint: Endpoint, drain: HandDrain, publish_many: Make, clock: datetime
    ) -> None:
        publish_many("alice", 10, now=clock)
        assert len(drain.turn(now=clock, free=3).picks) == 3
        assert len(drain.turn(now=clock, free=0).picks) == 0

    def test_a_flood_waits_behind_itself(
        self,
        endpoint: Endpoint,
        drain: HandDrain,
        publish_many: Make,
        make_merchant: Make,
        make_endpoint: Make,
        clock: datetime,
    ) -> None:
        publish_many("alice", 50, now=clock)
        bob = make_endpoint(make_merchant("bob"))
        picks = drain.turn(now=clock, free=4).picks
        publish_many("bob", 2, now=clock)
        results = [result(pick, Reason.DELIVERED, now=clock) for pick in picks]
        owners = [pick.endpoint_id for pick in drain.turn(now=clock, results=results, free=4).picks]
        assert owners.count(bob.id) == 2
        assert len(owners) == 4


class TestRecording:
    def test_delivered(self, endpoint: Endpoint, drain: HandDrain, publish_many: Make, clock: datetime) -> None:
        publish_many("alice", 1, now=clock)
        [pick] = drain.turn(now=clock).picks
        drain.turn(now=clock, results=[result(pick, Reason.DELIVERED, status=200, now=clock)])
        delivery, attempt, lane = Delivery.objects.get(), Attempt.objects.get(), Lane.objects.get()
        assert (delivery.status, delivery.attempts_made, delivery.attempts_counted) == ("delivered", 1, 1)
        assert (delivery.next_attempt_at, delivery.finished_at, delivery.last_status) == (None, clock, 200)
        assert (attempt.delivery_id, attempt.number, attempt.trigger, attempt.reason) == (
            delivery.id,
            1,
            "event",
            "delivered",
        )
        assert not LaneEntry.objects.exists()
        assert (lane.due_at, lane.lease_token, lane.in_flight) == (None, None, [])

    def test_failed_once_waits_for_the_schedule(
        self, endpoint: Endpoint, drain: HandDrain, publish_many: Make, clock: datetime
    ) -> None:
        publish_many("alice", 1, now=clock)
        [pick] = drain.turn(now=clock).picks
        drain.turn(now=clock, results=[result(pick, Reason.HTTP_SERVER_ERROR, status=500, now=clock)])
        at = clock + timedelta(seconds=10)
        delivery, entry, lane = Delivery.objects.get(), LaneEntry.objects.get(), Lane.objects.get()
        assert (delivery.status, delivery.next_attempt_at, delivery.last_reason) == ("pending", at, "http_server_error")
        assert (entry.due_at, entry.trigger, lane.due_at) == (at, "retry", at)
        assert drain.turn(now=at - timedelta(milliseconds=1)).picks == []
        [again] = drain.turn(now=at).picks
        assert (again.number, again.trigger) == (2, "retry")

    def test_ten_attempts_and_no_more(
        self, endpoint: Endpoint, drain: HandDrain, publish_many: Make, clock: datetime
    ) -> None:
        publish_many("alice", 1, now=clock)
        at = clock
        for _ in range(10):
            [pick] = drain.turn(now=at).picks
            drain.turn(now=at, results=[result(pick, Reason.CONNECT_REFUSED, now=at)])
            at += timedelta(hours=9)
        delivery = Delivery.objects.get()
        assert (delivery.status, delivery.attempts_made, Attempt.objects.count()) == ("failed", 10, 10)
        assert drain.turn(now=at).picks == []
        assert not LaneEntry.objects.exists()

    def test_the_number_of_statements_does_not_grow(
        self, endpoint: Endpoint, drain: HandDrain, publish_many: Make, clock: datetime, count_statements: Any
    ) -> None:
        Lane.objects.all().delete()
        Endpoint.objects.update(max_in_flight=500)
        publish_many("alice", 600, now=clock)
        counts = []
        for size in (1, 200):
            Lane.objects.update(window=size)
            with count_statements(drain.store) as statements:
                picks = drain.turn(now=clock).picks
                assert len(picks) == size
                results = [result(pick, Reason.DELIVERED, now=clock) for pick in picks]
                drain.turn(now=clock, results=results, is_claiming=False)
            counts.append(len(statements))
        # Claim: lock, pick, read, save. Record: record, lock, save.
        assert counts == [7, 7]


class TestClosedEndpoints:
    @pytest.mark.parametrize(("deleted", "status"), [(False, "held"), (True, "cancelled")])
    def test_what_waits_is_settled(
        self, deleted: bool, status: str, endpoint: Endpoint, drain: HandDrain, publish_many: Make, clock: datetime
    ) -> None:
        publish_many("alice", 3, now=clock)
        Endpoint.objects.update(is_active=False, deleted_at=clock if deleted else None)
        assert drain.turn(now=clock).picks == []
        assert {d.status for d in Delivery.objects.all()} == {status}
        assert not LaneEntry.objects.exists()
        assert Lane.objects.get().due_at is None

    def test_what_is_in_flight_is_recorded_and_its_retry_held(
        self, endpoint: Endpoint, drain: HandDrain, publish_many: Make, clock: datetime
    ) -> None:
        publish_many("alice", 6, now=clock)
        picks = drain.turn(now=clock).picks
        Endpoint.objects.update(is_active=False)
        reasons = [Reason.DELIVERED, Reason.HTTP_SERVER_ERROR, Reason.DELIVERED, Reason.DELIVERED]
        results = [result(pick, reason, now=clock) for pick, reason in zip(picks, reasons, strict=True)]
        assert drain.turn(now=clock, results=results).picks == []
        statuses = [d.status for d in Delivery.objects.order_by("id")]
        assert statuses == ["delivered", "held", "delivered", "delivered", "held", "held"]

    def test_the_sweep_wakes_the_lane_of_an_endpoint_that_was_closed_while_it_waited(
        self, endpoint: Endpoint, drain: HandDrain, publish_many: Make, clock: datetime
    ) -> None:
        publish_many("alice", 1, now=clock)
        [pick] = drain.turn(now=clock).picks
        drain.turn(now=clock, results=[result(pick, Reason.HTTP_SERVER_ERROR, now=clock)])
        assert sweep() == []
        Endpoint.objects.update(is_active=False)
        assert sweep() == [endpoint.id]
        drain.turn(now=clock)
        assert Delivery.objects.get().status == "held"

    def test_all_closed_lanes_together_settle_no_more_than_a_turn_may(
        self,
        make_merchant: Make,
        make_endpoint: Make,
        make_type: Make,
        drain: HandDrain,
        publish_many: Make,
        clock: datetime,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        make_type("invoice.paid")
        alice: Merchant = make_merchant("alice")
        for _ in range(2):
            make_endpoint(alice)
        publish_many("alice", 4, now=clock)
        Endpoint.objects.update(is_active=False)
        monkeypatch.setattr("deliveries.engine.store.SETTLE_ROWS", 3)
        held = []
        for _ in range(3):
            drain.turn(now=clock)
            held.append(Delivery.objects.filter(status="held").count())
        assert held == [3, 6, 8]

    def test_an_ordered_lane_that_waits_for_a_retry_is_settled_and_starts_anew(
        self, endpoint: Endpoint, drain: HandDrain, publish_many: Make, clock: datetime
    ) -> None:
        Endpoint.objects.update(ordered=True)
        publish_many("alice", 2, now=clock)
        [pick] = drain.turn(now=clock).picks
        drain.turn(now=clock, results=[result(pick, Reason.HTTP_SERVER_ERROR, now=clock)])
        Lane.objects.update(retry_at=clock + timedelta(hours=8), due_at=clock + timedelta(hours=8))
        Endpoint.objects.update(is_active=False)
        sweep()
        drain.turn(now=clock)
        assert [d.status for d in Delivery.objects.all()] == ["held", "held"]
        Endpoint.objects.update(is_active=True)
        publish_many("alice", 1, now=clock)
        assert len(drain.turn(now=clock).picks) == 1

    def test_an_ordered_lane_closed_in_flight_starts_anew(
        self, endpoint: Endpoint, drain: HandDrain, publish_many: Make, clock: datetime
    ) -> None:
        Endpoint.objects.update(ordered=True)
        publish_many("alice", 1, now=clock)
        [pick] = drain.turn(now=clock).picks
        Endpoint.objects.update(is_active=False)
        drain.turn(now=clock, results=[result(pick, Reason.HTTP_SERVER_ERROR, now=clock)])
        assert Lane.objects.get().not_before is None


class TestOrdered:
    def test_one_at_a_time_also_across_a_retry(
        self, endpoint: Endpoint, drain: HandDrain, publish_many: Make, clock: datetime
    ) -> None:
        Endpoint.objects.update(ordered=True)
        publish_many("alice", 3, now=clock)
        [first] = drain.turn(now=clock).picks
        assert drain.turn(now=clock).picks == []
        failed = result(first, Reason.HTTP_SERVER_ERROR, now=clock)
        assert drain.turn(now=clock, results=[failed]).picks == []
        publish_many("alice", 1, now=clock)
        assert drain.turn(now=clock + timedelta(seconds=9)).picks == []
        seen = []
        at = clock + timedelta(seconds=10)
        while picks := drain.turn(now=at).picks:
            seen += [pick.payload for pick in picks]
            done = [result(pick, Reason.DELIVERED, now=at) for pick in picks]
            seen += [pick.payload for pick in drain.turn(now=at, results=done, is_claiming=False).picks]
        assert seen == [b"0", b"1", b"2", b"0"]


class TestSweep:
    def test_wakes_what_was_committed_but_never_rung_for(
        self, endpoint: Endpoint, drain: HandDrain, publish_many: Make, clock: datetime
    ) -> None:
        publish_many("alice", 1, now=clock)
        Lane.objects.update(due_at=None)
        assert drain.turn(now=clock).picks == []
        assert sweep() == [endpoint.id]
        assert len(drain.turn(now=clock).picks) == 1

    def test_leaves_lanes_alone_that_know_their_work(
        self, endpoint: Endpoint, drain: HandDrain, publish_many: Make, clock: datetime
    ) -> None:
        publish_many("alice", 1, now=clock)
        assert sweep() == []
        drain.turn(now=clock)
        assert sweep() == []


def test_a_turn_takes_no_more_lanes_than_its_limit(
    make_merchant: Make, make_endpoint: Make, make_type: Make, drain: HandDrain, publish_many: Make, clock: datetime
) -> None:
    make_type("invoice.paid")
    alice: Merchant = make_merchant("alice")
    for _ in range(LANES_A_TURN + 10):
        make_endpoint(alice)
    publish_many("alice", 1, now=clock)
    plan = drain.turn(now=clock)
    assert (len(plan.picks), plan.is_hungry) == (LANES_A_TURN, True)
    plan = drain.turn(now=clock)
    assert (len(plan.picks), plan.is_hungry) == (10, False)


def test_a_delivery_that_keeps_killing_its_drain_is_set_aside(
    endpoint: Endpoint, make_drain: Callable[[], HandDrain], publish_many: Make, clock: datetime
) -> None:
    publish_many("alice", 1, now=clock)
    at = clock
    for _ in range(MOST_UNCOUNTED):
        assert len(make_drain().turn(now=at).picks) == 1
        at += LEASE
    assert make_drain().turn(now=at).picks == []
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.attempts_made, delivery.attempts_counted) == ("held", MOST_UNCOUNTED, 0)
    assert not LaneEntry.objects.exists()
    assert [a.reason for a in Attempt.objects.all()] == ["interrupted"] * MOST_UNCOUNTED
