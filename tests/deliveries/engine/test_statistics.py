"""Statistics equal a recount of the attempts, at every moment and whatever happens."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection, transaction

from deliveries import tasks
from deliveries.engine.store import LEASE, MOST_UNCOUNTED
from deliveries.models import Attempt, CountDelta, Delivery, Event, HourlyCount, LaneEntry
from deliveries.services import publish_batch, statistics
from deliveries.services.new_event import NewEvent
from deliveries.services.replay import resend
from deliveries.services.statistics import roll_up
from dispatcher.latencies import count_in_classes
from dispatcher.outcomes import Outcome, Phases, Reason
from subscriptions.models import Endpoint
from tests.deliveries.counting import check, kept
from tests.deliveries.engine.conftest import HandDrain, result

pytestmark = pytest.mark.django_db(transaction=True)

Make = Callable[..., Any]

NOON = datetime.now(UTC).replace(hour=12, minute=30, second=0, microsecond=0) + timedelta(days=1)
# Tomorrow's: publishing never dates an entry later than the database's own clock.


@pytest.fixture
def endpoint(make_merchant: Make, make_endpoint: Make, make_type: Make) -> Endpoint:
    make_type("invoice.paid")
    make_type("invoice.sent")
    made: Endpoint = make_endpoint(make_merchant("alice"))
    return made


def send(drain: HandDrain, *reasons: Reason, at: datetime, took_ms: float = 20) -> None:
    """Take what is due and let it end so; one after the other when there are fewer reasons."""
    picks = drain.turn(now=at).picks
    assert len(picks) == len(reasons)
    results = [result(pick, reason, now=at) for pick, reason in zip(picks, reasons, strict=True)]
    took = [replace(one, outcome=replace(one.outcome, phases=Phases(total=took_ms))) for one in results]
    drain.turn(now=at, results=took, is_claiming=False)


@contextmanager
def rolled_back(transaction: AbstractContextManager[Any]) -> Iterator[None]:
    """A transaction that fails at its end."""
    with suppress(ZeroDivisionError), transaction:
        yield
        raise ZeroDivisionError


@transaction.atomic
def roll_up_and_lose_the_connection() -> None:
    roll_up()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")


class TestCounted:
    def test_what_each_attempt_leaves(self, endpoint: Endpoint, drain: HandDrain, publish_many: Make) -> None:
        publish_many("alice", 3, now=NOON)
        send(drain, Reason.DELIVERED, Reason.HTTP_SERVER_ERROR, Reason.HTTP_GONE, at=NOON)
        leaves = list(Attempt.objects.order_by("delivery_id").values_list("leaves", flat=True))
        assert leaves == ["delivered", "pending", "failed"]
        check(attempts=3, delivered=1, failed=1)
        assert CountDelta.objects.count() == 1
        assert not HourlyCount.objects.exists()

    def test_the_roll_up_changes_nothing_but_the_place(
        self, endpoint: Endpoint, drain: HandDrain, publish_many: Make
    ) -> None:
        for _ in range(3):
            publish_many("alice", 2, now=NOON)
            send(drain, Reason.DELIVERED, Reason.HTTP_GONE, at=NOON)
        before = kept()
        assert roll_up() == 3
        assert not CountDelta.objects.exists()
        assert kept() == before
        check(attempts=6, delivered=3, failed=3)
        assert roll_up() == 0

    def test_one_row_for_each_hour_and_type(self, endpoint: Endpoint, drain: HandDrain) -> None:
        for at, event_type in [(NOON, "invoice.paid"), (NOON, "invoice.sent"), (NOON + timedelta(hours=1), None)]:
            publish_batch([NewEvent(event_type or "invoice.paid", b"{}", "alice")], scope="t", now=NOON)
            send(drain, Reason.DELIVERED, at=at)
            roll_up()
        publish_batch([NewEvent("invoice.paid", b"{}", "alice")], scope="t", now=NOON)
        send(drain, Reason.DELIVERED, at=NOON + timedelta(minutes=29, seconds=59))
        roll_up()
        hour = NOON.replace(minute=0)
        rows = HourlyCount.objects.order_by("hour", "event_type").values_list("hour", "event_type", "attempts")
        assert list(rows) == [
            (hour, "invoice.paid", 2),
            (hour, "invoice.sent", 1),
            (hour + timedelta(hours=1), "invoice.paid", 1),
        ]
        check(attempts=4, delivered=4, failed=0)

    def test_latencies_are_those_of_what_was_delivered(
        self, endpoint: Endpoint, drain: HandDrain, publish_many: Make
    ) -> None:
        took = [0.0, 0.999, 1.0, 14.999, 15.0, 9_999.9, 10_000.0, 31_000.0]
        for took_ms in took:
            publish_many("alice", 2, now=NOON)
            send(drain, Reason.DELIVERED, Reason.HTTP_GONE, at=NOON, took_ms=took_ms)
        check(attempts=16, delivered=8, failed=8)
        roll_up()
        assert HourlyCount.objects.get().latencies == count_in_classes(took)
        check(attempts=16, delivered=8, failed=8)

    def test_retries_until_it_fails_for_good(self, endpoint: Endpoint, drain: HandDrain, publish_many: Make) -> None:
        publish_many("alice", 1, now=NOON)
        at = NOON
        for _ in range(10):
            send(drain, Reason.CONNECT_REFUSED, at=at)
            at += timedelta(hours=9)
            roll_up()
        assert Delivery.objects.get().status == "failed"
        assert HourlyCount.objects.count() == 10
        check(attempts=10, delivered=0, failed=1)

    def test_a_replay_that_succeeds_later(self, endpoint: Endpoint, drain: HandDrain, publish_many: Make) -> None:
        publish_many("alice", 1, now=NOON)
        send(drain, Reason.HTTP_GONE, at=NOON)
        resend(event=Event.objects.get().public_id, owner_id=endpoint.owner_id, actor="test", now=NOON)
        send(drain, Reason.DELIVERED, at=NOON + timedelta(hours=2))
        roll_up()
        # It failed then and was delivered later: both stay true of their hours.
        assert list(HourlyCount.objects.order_by("hour").values_list("delivered", "failed")) == [(0, 1), (1, 0)]
        check(attempts=2, delivered=1, failed=1)

    def test_a_turn_sends_no_more_statements(
        self, endpoint: Endpoint, drain: HandDrain, publish_many: Make, count_statements: Any
    ) -> None:
        publish_many("alice", 2, now=NOON)
        picks = drain.turn(now=NOON).picks
        results = [result(pick, Reason.DELIVERED, now=NOON) for pick in picks]
        with count_statements(drain.store) as statements:
            drain.turn(now=NOON, results=results, is_claiming=False)
        # Record, lock, save.
        assert len(statements) == 3
        check(attempts=2, delivered=2, failed=0)


class TestFaults:
    def test_a_killed_drains_attempts(
        self, endpoint: Endpoint, make_drain: Callable[[], HandDrain], publish_many: Make
    ) -> None:
        publish_many("alice", 3, now=NOON)
        make_drain().turn(now=NOON)
        heir = make_drain()
        send(heir, *[Reason.DELIVERED] * 3, at=NOON + LEASE)
        assert list(Attempt.objects.order_by("number").values_list("reason", "leaves")) == [
            *[("interrupted", "pending")] * 3,
            *[("delivered", "delivered")] * 3,
        ]
        check(attempts=6, delivered=3, failed=0)

    def test_what_is_set_aside_after_many_crashes(
        self, endpoint: Endpoint, make_drain: Callable[[], HandDrain], publish_many: Make
    ) -> None:
        publish_many("alice", 1, now=NOON)
        for number in range(MOST_UNCOUNTED + 1):
            make_drain().turn(now=NOON + number * LEASE)
            roll_up()
        assert Delivery.objects.get().status == "held"
        leaves = list(Attempt.objects.order_by("number").values_list("leaves", flat=True))
        assert leaves == ["pending"] * (MOST_UNCOUNTED - 1) + ["held"]
        check(attempts=MOST_UNCOUNTED, delivered=0, failed=0)

    def test_a_group_that_is_written_twice(self, endpoint: Endpoint, drain: HandDrain, publish_many: Make) -> None:
        """The answer to the first commit got lost, so the drain writes its group again, with what finished since."""
        publish_many("alice", 3, now=NOON)
        picks = drain.turn(now=NOON).picks
        results = [result(pick, Reason.HTTP_SERVER_ERROR, now=NOON) for pick in picks]
        drain.turn(now=NOON, results=results[:2])
        check(attempts=2, delivered=0, failed=0)
        drain.turn(now=NOON, results=results)
        check(attempts=3, delivered=0, failed=0)
        assert [len(delta.leaves) for delta in CountDelta.objects.order_by("id")] == [2, 1]

    def test_a_group_that_nothing_came_of_leaves_no_delta(
        self, endpoint: Endpoint, make_drain: Callable[[], HandDrain], publish_many: Make
    ) -> None:
        """Whoever lost its lease writes nothing."""
        publish_many("alice", 1, now=NOON)
        frozen, heir = make_drain(), make_drain()
        [late] = frozen.turn(now=NOON).picks
        send(heir, Reason.DELIVERED, at=NOON + LEASE)
        before = CountDelta.objects.count()
        frozen.turn(now=NOON + LEASE, results=[result(late, Reason.DELIVERED, now=NOON)])
        assert CountDelta.objects.count() == before
        check(attempts=2, delivered=1, failed=0)

    def test_a_turn_that_fails_after_recording(self, endpoint: Endpoint, drain: HandDrain, publish_many: Make) -> None:
        publish_many("alice", 1, now=NOON)
        [pick] = drain.turn(now=NOON).picks
        with rolled_back(drain.store.turn()):
            drain.store.record([result(pick, Reason.DELIVERED, now=NOON)], lanes=[endpoint.id])
        check(attempts=0, delivered=0, failed=0)

    def test_a_row_that_postgres_refuses(self, endpoint: Endpoint, drain: HandDrain, publish_many: Make) -> None:
        publish_many("alice", 2, now=NOON)
        good, bad = (result(pick, Reason.DELIVERED, now=NOON) for pick in drain.turn(now=NOON).picks)
        poison = replace(bad, outcome=Outcome(Reason.DELIVERED, status=2**40))
        with pytest.raises(psycopg.DataError):
            drain.turn(now=NOON, results=[good, poison], is_claiming=False)
        check(attempts=0, delivered=0, failed=0)
        for one in (good, replace(poison, outcome=Outcome(Reason.DELIVERED, 200)).bare()):
            drain.turn(now=NOON, results=[one], is_claiming=False)
        check(attempts=2, delivered=2, failed=0)

    def test_a_row_that_cannot_be_sent_is_held(self, endpoint: Endpoint, drain: HandDrain, publish_many: Make) -> None:
        publish_many("alice", 1, now=NOON)
        at = NOON
        while Delivery.objects.get().status == "pending":
            send(drain, Reason.INTERNAL_ERROR, at=at)
            at += timedelta(hours=9)
        assert Delivery.objects.get().status == "held"
        check(attempts=10, delivered=0, failed=0)


class TestTests:
    """Tests of an endpoint tell nothing about its traffic, whoever sends them."""

    @pytest.fixture(autouse=True)
    def owed(self, endpoint: Endpoint, publish_many: Make) -> None:
        publish_many("alice", 1, now=NOON)
        Event.objects.update(is_test=True)
        LaneEntry.objects.update(trigger="test")

    def test_a_test_that_a_drain_took_over_and_its_retry(self, drain: HandDrain) -> None:
        send(drain, Reason.HTTP_SERVER_ERROR, at=NOON)
        send(drain, Reason.DELIVERED, at=NOON + timedelta(seconds=10))
        assert set(Attempt.objects.values_list("trigger", flat=True)) == {"test"}
        assert not CountDelta.objects.exists()
        check(attempts=0, delivered=0, failed=0)

    def test_a_test_that_is_sent_again(self, endpoint: Endpoint, drain: HandDrain) -> None:
        send(drain, Reason.DELIVERED, at=NOON)
        resend(event=Event.objects.get().public_id, owner_id=endpoint.owner_id, actor="test", now=NOON)
        send(drain, Reason.HTTP_GONE, at=NOON)
        assert Attempt.objects.count() == 2
        check(attempts=0, delivered=0, failed=0)

    def test_an_interrupted_one(self, make_drain: Callable[[], HandDrain]) -> None:
        make_drain().turn(now=NOON)
        send(make_drain(), Reason.DELIVERED, at=NOON + LEASE)
        assert Attempt.objects.count() == 2
        check(attempts=0, delivered=0, failed=0)

    def test_beside_others(self, drain: HandDrain, publish_many: Make) -> None:
        publish_many("alice", 2, now=NOON)
        send(drain, Reason.DELIVERED, Reason.DELIVERED, Reason.DELIVERED, at=NOON)
        assert Attempt.objects.count() == 3
        check(attempts=2, delivered=2, failed=0)


class TestRollUp:
    @pytest.fixture
    def deltas(self, endpoint: Endpoint, drain: HandDrain, publish_many: Make) -> Iterable[None]:
        for _ in range(5):
            publish_many("alice", 2, now=NOON)
            send(drain, Reason.DELIVERED, Reason.HTTP_GONE, at=NOON)
        yield
        check(attempts=10, delivered=5, failed=5)

    def test_step_by_step(self, deltas: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(statistics, "DELTAS_A_STEP", 2)
        monkeypatch.setattr(statistics, "STEPS_A_RUN", 2)
        assert roll_up() == 4
        check(attempts=10, delivered=5, failed=5)
        assert roll_up() == 1

    def test_two_at_once_take_what_the_other_has_not(self, deltas: None, monkeypatch: pytest.MonkeyPatch) -> None:
        """The second must wait for the first's hourly count, and then adds to it."""
        monkeypatch.setattr(statistics, "DELTAS_A_STEP", 3)
        taken: list[int] = []

        def second() -> None:
            taken.append(roll_up())
            connection.close()

        thread = threading.Thread(target=second)
        with transaction.atomic():
            assert statistics._step() == 3
            thread.start()
            thread.join(0.3)
            assert thread.is_alive()
        thread.join()
        assert taken == [2]
        assert HourlyCount.objects.get().attempts == 10

    def test_rows_are_locked_in_one_order(self, make_merchant: Make, make_endpoint: Make) -> None:
        """So roll-ups that meet wait for each other and never in a circle: behind a locked first row none is held."""
        alice = make_merchant("alice")
        endpoints = sorted((make_endpoint(alice).id for _ in range(12)), reverse=True)
        columns: dict[str, Any] = {
            "endpoint_ids": endpoints,
            "owner_ids": [alice.id] * 12,
            "event_types": ["invoice.paid"] * 12,
            "started": [NOON] * 12,
            "leaves": ["delivered"] * 12,
            "latencies_ms": [20.0] * 12,
        }
        CountDelta.objects.create(**columns)
        roll_up()
        CountDelta.objects.create(**columns)

        def work() -> None:
            roll_up()
            connection.close()

        thread = threading.Thread(target=work)
        with transaction.atomic():
            rows = HourlyCount.objects.order_by("endpoint_id")
            rows.select_for_update().filter(endpoint_id=endpoints[-1]).get()
            thread.start()
            thread.join(0.3)
            assert thread.is_alive()
            assert len(rows.select_for_update(skip_locked=True)) == 12
        thread.join()
        assert {row.attempts for row in rows.all()} == {2}

    def test_one_that_dies_half_way_has_done_nothing(self, deltas: None) -> None:
        before = kept()
        with rolled_back(transaction.atomic()):
            roll_up()
            assert HourlyCount.objects.exists()
        assert (CountDelta.objects.count(), HourlyCount.objects.count()) == (5, 0)
        assert kept() == before

    def test_one_that_postgres_ends_loses_nothing(self, deltas: None) -> None:
        """The commit never comes: whoever is next finds the deltas where they were."""
        with pytest.raises(OperationalError):
            roll_up_and_lose_the_connection()
        connection.close()
        assert (CountDelta.objects.count(), HourlyCount.objects.count()) == (5, 0)
        assert roll_up() == 5

    def test_beat_rolls_up(self, deltas: None, settings: Any) -> None:
        entry = settings.CELERY_BEAT_SCHEDULE["roll_up"]
        assert entry["task"] == tasks.roll_up.name
        tasks.roll_up()
        assert not CountDelta.objects.exists()

    def test_one_statement_however_much_there_is(
        self, deltas: None, django_assert_num_queries: Callable[[int], Any]
    ) -> None:
        with django_assert_num_queries(1):
            roll_up()
