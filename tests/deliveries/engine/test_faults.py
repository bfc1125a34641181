"""What drains do when something breaks: connections, clocks, leases, rows that Postgres refuses."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Any

import psycopg
import pytest
from django.db import connection

from deliveries import tasks
from deliveries.doorbell import BELL_KEY
from deliveries.engine import process, stopping, store
from deliveries.engine.drain import Drain
from deliveries.engine.store import LEASE, LEASE_BEYOND_ATTEMPT, Store
from deliveries.engine.values import HeldLane, Pick
from deliveries.models import Attempt, Delivery, Lane, LaneEntry
from deliveries.services import publish
from dispatcher.outcomes import Reason
from dispatcher.window import Window
from subscriptions.models import Endpoint, Merchant
from tests.deliveries.engine.conftest import HandDrain, result
from tests.receivers.receiver import Connection, Receiver
from tests.receivers.scripts import OK, hold, keep_alive

pytestmark = pytest.mark.django_db(transaction=True)

Make = Callable[..., Any]


@pytest.fixture(autouse=True)
def engine(settings: Any) -> Iterator[None]:
    settings.ALLOWED_TARGET_NETWORKS = (ip_network("127.0.0.0/8"),)
    settings.ALLOW_HTTP_TARGETS = True
    stopping.reset()
    yield
    process.close()


@pytest.fixture
def alice(make_merchant: Make, make_type: Make) -> Merchant:
    make_type("invoice.paid")
    merchant: Merchant = make_merchant("alice")
    return merchant


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(keep_alive()) as running:
        yield running


@pytest.fixture
def endpoint(alice: Merchant, make_endpoint: Make, receiver: Receiver) -> Endpoint:
    made: Endpoint = make_endpoint(alice, target=receiver.url())
    return made


@pytest.fixture
def clock() -> datetime:
    """The present: publishing never dates an entry later than the database's own clock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp() + interval '1 second'")
        found: datetime = cursor.fetchone()[0]
        return found


def break_connection() -> None:
    """What a restart of Postgres leaves of this thread's Django connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
        parameters = connection.get_connection_params() | {"cursor_factory": psycopg.Cursor}
        with psycopg.connect(**parameters) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


class TestWakeUps:
    def test_what_is_published_during_a_turn_is_not_forgotten(
        self, endpoint: Endpoint, drain: HandDrain, publish_many: Make, clock: datetime
    ) -> None:
        Lane.objects.create(endpoint_id=endpoint.id, due_at=clock - timedelta(minutes=1))

        def publish_one() -> None:
            publish_many("alice", 1, now=clock)
            connection.close()

        publisher = threading.Thread(target=publish_one)
        with drain.store.turn():
            [row] = drain.store.lock_lanes([], limit=1, may_be_suspect=True, now=clock)
            drain.store.save_lanes([HeldLane(row, Window(), None)], now=clock)
            publisher.start()
            while not LaneEntry.objects.exists():
                time.sleep(0.01)
            publisher.join(0.3)
        publisher.join()
        assert Lane.objects.get().due_at is not None
        assert len(drain.turn(now=clock).picks) == 1

    def test_a_drain_that_stops_claiming_calls_another(self, endpoint: Endpoint, redis_client: Any) -> None:
        engine = process._engine()
        Drain(engine, is_stopping=lambda: True).run()
        assert redis_client.exists(BELL_KEY) == 1
        assert redis_client.llen("drain") == 1


class TestLeases:
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

    def test_a_lane_that_was_lost_and_won_back_takes_no_news_from_its_first_lease(
        self, endpoint: Endpoint, make_drain: Callable[[], HandDrain], publish_many: Make, clock: datetime
    ) -> None:
        publish_many("alice", 1, now=clock)
        frozen, heir = make_drain(), make_drain()
        [late] = frozen.turn(now=clock).picks
        later = clock + LEASE
        [pick] = heir.turn(now=later).picks
        heir.turn(now=later, results=[result(pick, Reason.HTTP_SERVER_ERROR, now=later)])
        retry_at = later + timedelta(seconds=10)
        plan = frozen.turn(now=retry_at)
        assert [pick.number for pick in plan.picks] == [3]
        frozen.turn(now=retry_at, results=[result(late, Reason.DELIVERED, now=retry_at)])
        assert Delivery.objects.get().status == "pending"
        assert LaneEntry.objects.count() == 1

    def test_a_lane_lost_and_won_back_in_one_turn_is_named_as_lost(
        self, endpoint: Endpoint, make_drain: Callable[[], HandDrain], publish_many: Make, clock: datetime
    ) -> None:
        publish_many("alice", 1, now=clock)
        frozen, heir = make_drain(), make_drain()
        [late] = frozen.turn(now=clock).picks
        heir.turn(now=clock + LEASE)
        plan = frozen.turn(now=clock + 2 * LEASE, results=[result(late, Reason.DELIVERED, now=clock)])
        assert (plan.lost, set(plan.lanes)) == ({endpoint.id}, {endpoint.id})
        assert [pick.number for pick in plan.picks] == [3]
        assert Lane.objects.get().in_flight == [late.delivery_id]

    def test_a_lane_lost_and_won_back_by_a_claim_is_named_as_lost(
        self, endpoint: Endpoint, make_drain: Callable[[], HandDrain], publish_many: Make, clock: datetime
    ) -> None:
        publish_many("alice", 1, now=clock)
        frozen, heir = make_drain(), make_drain()
        frozen.turn(now=clock)
        later = clock + LEASE
        [pick] = heir.turn(now=later).picks
        heir.turn(now=later, results=[result(pick, Reason.HTTP_SERVER_ERROR, now=later)])
        # Nothing of its first lease has landed yet: unless it is told, it would take it for news of the second.
        plan = frozen.turn(now=later + timedelta(seconds=11))
        assert (plan.lost, [pick.number for pick in plan.picks]) == ({endpoint.id}, [3])

    def test_abandoned_requests_never_land_and_their_deliveries_can_be_sent_again(
        self, endpoint: Endpoint, drain: HandDrain, publish_many: Make, clock: datetime
    ) -> None:
        publish_many("alice", 1, now=clock)
        [pick] = drain.turn(now=clock).picks
        sender = process._engine().sender
        sender.send([pick], versions={endpoint.id: 0}, now=clock)
        sender.abandon({endpoint.id})
        assert sender.in_flight == 0
        sender.send([pick], versions={endpoint.id: 0}, now=clock)
        landed: list[Any] = []
        for _ in range(10):
            landed += sender.poll(0.05, now=lambda: clock)
        assert [(one.pick, one.outcome.reason) for one in landed] == [(pick, Reason.DELIVERED)]

    @pytest.mark.parametrize(("timeout", "lease"), [(10, LEASE), (30, timedelta(seconds=30) + LEASE_BEYOND_ATTEMPT)])
    def test_a_lease_outlives_the_longest_attempt(self, timeout: float, lease: timedelta, settings: Any) -> None:
        settings.DELIVERY_TIMEOUT = timeout
        assert Store().lease == lease


class TestStalls:
    """A worker that was frozen, or waited long for Postgres, while its requests were in the air."""

    @pytest.fixture(autouse=True)
    def _soon(self, settings: Any) -> None:
        settings.DELIVERY_TIMEOUT = 1.0

    @pytest.fixture
    def pick(
        self, alice: Merchant, make_endpoint: Make, drain: HandDrain, publish_many: Make, clock: datetime
    ) -> Iterator[Pick]:
        """To a receiver that answers soon, and not at once."""

        def script(connection: Connection) -> None:
            connection.read_request()
            connection.pause(0.3)
            connection.send(OK)

        with Receiver(script) as slow:
            make_endpoint(alice, target=slow.url())
            publish_many("alice", 1, now=clock)
            yield drain.turn(now=clock).picks[0]

    @pytest.mark.parametrize(("stalls", "reason"), [(0, Reason.INTERRUPTED), (3, Reason.RESPONSE_TIMEOUT)])
    def test_a_timeout_that_nobody_watched_is_not_the_receivers_fault(
        self, pick: Pick, clock: datetime, stalls: int, reason: Reason
    ) -> None:
        """But not for ever: a platform that always stands still must come to an end."""
        sender = process._engine().sender
        sender.send([replace(pick, attempts_uncounted=stalls)], versions={pick.endpoint_id: 0}, now=clock)
        assert sender.poll(0.1, now=lambda: clock) == []
        time.sleep(1.2)
        [landed] = land(sender, clock)
        assert (landed.outcome.reason, landed.decision.is_counted) == (reason, stalls > 0)
        assert (landed.next_attempt_at == clock) == (stalls == 0)

    def test_a_timeout_that_was_watched_counts(
        self, alice: Merchant, make_endpoint: Make, drain: HandDrain, publish_many: Make, clock: datetime
    ) -> None:
        with Receiver(hold) as silent:
            silent_one = make_endpoint(alice, target=silent.url())
            publish_many("alice", 1, now=clock)
            [pick] = drain.turn(now=clock).picks
            sender = process._engine().sender
            sender.send([pick], versions={silent_one.id: 0}, now=clock)
            assert [one.outcome.reason for one in land(sender, clock)] == [Reason.RESPONSE_TIMEOUT]


def land(sender: Any, clock: datetime) -> list[Any]:
    landed: list[Any] = []
    until = time.monotonic() + 5
    while not landed and time.monotonic() < until:
        landed += sender.poll(0.05, now=lambda: clock)
    return landed


class TestPostgres:
    def test_a_drain_outlives_a_restart(self, endpoint: Endpoint, receiver: Receiver) -> None:
        process.drain()
        publish("invoice.paid", {}, merchant="alice")
        break_connection()
        assert process.drain() == 1
        assert len(receiver.requests) == 1
        assert Delivery.objects.get().status == "delivered"

    def test_tasks_outlive_a_restart(self, endpoint: Endpoint) -> None:
        break_connection()
        assert tasks.sweep.apply().successful()

    def test_a_result_that_is_refused_even_bare_ends_the_drain_instead_of_spinning(
        self, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        honest = store._result_arrays
        monkeypatch.setattr(
            store, "_result_arrays", lambda results: honest(results) | {"details": ["x" * 300 for _ in results]}
        )
        publish("invoice.paid", {}, merchant="alice")
        with pytest.raises(RuntimeError, match="refuses a turn"):
            process.drain()

    def test_a_constraint_that_one_result_breaks_harms_no_neighbour(
        self, alice: Merchant, make_endpoint: Make, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bad = make_endpoint(alice, target=receiver.url("/bad"))
        make_endpoint(alice, target=receiver.url("/good"))
        honest = store._result_arrays

        def spoiled(results: Any) -> dict[str, Any]:
            statuses = [-1 if r.pick.endpoint_id == bad.id and r.sent.headers else 200 for r in results]
            return honest(results) | {"response_statuses": statuses}

        monkeypatch.setattr(store, "_result_arrays", spoiled)
        publish("invoice.paid", {}, merchant="alice")
        assert process.drain() == 2
        assert {delivery.status for delivery in Delivery.objects.all()} == {"delivered"}

    def test_a_long_drain_follows_the_clock_of_postgres(self, endpoint: Endpoint, clock: datetime) -> None:
        engine = process._engine()
        process.drain()
        engine.clock.set(clock - timedelta(minutes=5))
        engine.clock._base_at -= 120
        Drain(engine, is_stopping=lambda: False)._take_turn()
        assert abs(engine.clock.now() - clock) < timedelta(seconds=30)


def test_settings_that_nobody_thought_of_harm_no_neighbour(
    alice: Merchant, make_endpoint: Make, receiver: Receiver
) -> None:
    odd = make_endpoint(alice, target=receiver.url("/odd"))
    make_endpoint(alice, target=receiver.url("/healthy"))
    Endpoint.objects.filter(id=odd.id).update(headers=["not", "a", "mapping"])
    publish("invoice.paid", {}, merchant="alice")
    assert process.drain() == 2
    assert [request.path for request in receiver.requests] == ["/healthy"]
    reasons = {attempt.url.rpartition("/")[2]: attempt.reason for attempt in Attempt.objects.all()}
    assert reasons == {"odd": "internal_error", "healthy": "delivered"}
