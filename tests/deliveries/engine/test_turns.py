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
        # Claim: lock, pick, save. Record: record, lock, save.
        assert counts == [6, 6]


class TestLostLeases:
    def test_a_dead_drains_deliveries_are_interrupted_and_sent_again(
        self, endpoint: Endpoint, make_drain: Callable[[], HandDrain], publish_many: Make, clock: datetime
    ) -> None:
        publish_many("alice", 2, now=clock)
        dead, heir = make_drain(), make_drain()
        lost = dead.turn(now=clock).picks
        assert heir.turn(now=clock + LEASE - timedelta(seconds=1)).picks == []
        later = clock + LEASE
        picks = heir.turn(now=later).picks
        assert {pick.delivery_id for pick in picks} == {pick.delivery_id for pick in lost}
        assert {pick.number for pick in picks} == {2}
        attempts = Attempt.objects.all()
        assert {(a.reason, a.number, a.is_counted) for a in attempts} == {("interrupted", 1, False)}
        assert {(d.attempts_made, d.attempts_counted, d.status) for d in Delivery.objects.all()} == {(1, 0, "pending")}

    def test_results_of_a_lost_lease_change_nothing(
        self, endpoint: Endpoint, make_drain: Callable[[], HandDrain], publish_many: Make, clock: datetime
    ) -> None:
        publish_many("alice", 1, now=clock)
        frozen, heir = make_drain(), make_drain()
        [late] = frozen.turn(now=clock).picks
        later = clock + LEASE
        [pick] = heir.turn(now=later).picks
        heir.turn(now=later, results=[result(pick, Reason.HTTP_SERVER_ERROR, now=later)])
        before = Delivery.objects.values().get()
        plan = frozen.turn(now=later, results=[result(late, Reason.DELIVERED, now=later)])
        assert plan.lost == {endpoint.id}
        assert Delivery.objects.values().get() == before
        assert [a.reason for a in Attempt.objects.order_by("number")] == ["interrupted", "http_server_error"]

    def test_a_group_written_twice_counts_once(
        self, endpoint: Endpoint, drain: HandDrain, publish_many: Make, clock: datetime
    ) -> None:
        publish_many("alice", 2, now=clock)
        picks = drain.turn(now=clock).picks
        results = [result(picks[0], Reason.HTTP_SERVER_ERROR, now=clock)]
        drain.turn(now=clock, results=results)
        drain.turn(now=clock, results=results)
        assert Attempt.objects.count() == 1
        assert sorted(d.attempts_made for d in Delivery.objects.all()) == [0, 1]


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


class TestOrdered:
    def test_one_at_a_time_also_across_a_retry(
        self, endpoint: Endpoint, drain: HandDrain, publish_many: Make, clock: datetime
    ) -> None:
        Endpoint.objects.update(ordered=True)
        publish_many("alice", 3, now=clock)
        [first] = drain.turn(now=clock).picks
        assert drain.turn(now=clock).picks == []
        failed = result(first, Reason.HTTP_SERVER_ERROR, now=clock, is_ordered=True)
        assert drain.turn(now=clock, results=[failed]).picks == []
        publish_many("alice", 1, now=clock)
        assert drain.turn(now=clock + timedelta(seconds=9)).picks == []
        seen = []
        at = clock + timedelta(seconds=10)
        while picks := drain.turn(now=at).picks:
            seen += [pick.payload for pick in picks]
            done = [result(pick, Reason.DELIVERED, now=at, is_ordered=True) for pick in picks]
            seen += [pick.payload for pick in drain.turn(now=at, results=done, is_claiming=False).picks]
        assert seen == [b"0", b"1", b"2", b"0"]


class TestRateLimit:
    def test_slices_at_the_rate(
        self, endpoint: Endpoint, drain: HandDrain, publish_many: Make, clock: datetime
    ) -> None:
        Endpoint.objects.update(rate_limit=20)
        publish_many("alice", 10, now=clock)
        sent = []
        for tenth in range(5):
            at = clock + timedelta(milliseconds=50 * tenth)
            picks = drain.turn(now=at).picks
            sent.append(len(picks))
            drain.turn(now=at, results=[result(pick, Reason.DELIVERED, now=at) for pick in picks])
        assert sent == [2, 0, 2, 0, 2]


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
