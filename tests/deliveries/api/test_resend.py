"""POST /webhooks/events/{id}/resend: what was final goes out again, what is in the air is left there."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from deliveries.models import Delivery, Lane, LaneEntry
from deliveries.services import publish
from dispatcher.ids import Prefix, new_id, parse, show
from subscriptions.models import AuditEntry, Endpoint, Merchant
from tests.deliveries.api.conftest import Caller, Make, World, code_of, errors_of

FINAL = ("delivered", "failed", "cancelled")


def url(event_id: str) -> str:
    return f"/api/v2/webhooks/events/{event_id}/resend"


def finish(status: str, *, now: datetime, **fields: Any) -> None:
    """Every delivery is final or held, and its entry gone."""
    LaneEntry.objects.all().delete()
    Lane.objects.update(due_at=None)
    values: dict[str, Any] = {"attempts_made": 4, "attempts_counted": 3, "last_reason": "http_server_error"}
    values |= {"next_attempt_at": None, "finished_at": now if status in FINAL else None}
    Delivery.objects.update(status=status, **values, **fields)


class TestFinal:
    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize("status", [*FINAL, "held"])
    def test_becomes_pending_with_a_fresh_schedule(
        self, status: str, alice: Caller, event_id: str, endpoint: Endpoint, now: datetime
    ) -> None:
        finish(status, now=now)
        delivery = Delivery.objects.get()
        response = alice.post(url(event_id))
        assert response.status_code == 202
        assert response.json() == {"deliveries": [delivery.public_id]}
        delivery.refresh_from_db()
        assert (delivery.status, delivery.attempts_made, delivery.attempts_counted) == ("pending", 4, 0)
        assert delivery.next_attempt_at is not None
        assert delivery.finished_at is None
        entry, lane = LaneEntry.objects.get(), Lane.objects.get()
        assert (entry.delivery_id, entry.endpoint_id, entry.trigger) == (delivery.id, endpoint.id, "replay")
        assert entry.due_at <= delivery.next_attempt_at
        assert lane.due_at is not None

    @pytest.mark.django_db(transaction=True)
    def test_without_a_lane_one_is_made(self, alice: Caller, event_id: str, now: datetime) -> None:
        finish("held", now=now)
        Lane.objects.all().delete()
        assert alice.post(url(event_id)).status_code == 202
        assert Lane.objects.get().due_at is not None

    def test_is_written_down(
        self, alice: Caller, event_id: str, endpoint: Endpoint, world: World, now: datetime
    ) -> None:
        finish("failed", now=now)
        AuditEntry.objects.all().delete()
        (delivery,) = alice.post(url(event_id)).json()["deliveries"]
        entry = AuditEntry.objects.get()
        assert (entry.action, entry.target, entry.merchant_id) == ("event.resent", event_id, world.alice.id)
        assert entry.actor.startswith("key:key_")
        assert entry.detail == {"deliveries": [delivery]}

    def test_with_a_long_id_of_the_providers_own(self, alice: Caller, endpoint: Endpoint) -> None:
        publish("invoice.paid", {}, merchant="alice", id="x" * 128)
        assert alice.post(url("x" * 128)).status_code == 202

    def test_twice_is_once(self, alice: Caller, event_id: str, now: datetime) -> None:
        finish("failed", now=now)
        assert alice.post(url(event_id)).json() == alice.post(url(event_id)).json()
        assert LaneEntry.objects.count() == 1

    def test_the_same_idempotency_key_acts_once(self, alice: Caller, event_id: str, now: datetime) -> None:
        finish("failed", now=now)
        first = alice.post(url(event_id), Idempotency_Key="k")
        finish("delivered", now=now)
        again = alice.post(url(event_id), Idempotency_Key="k")
        assert (again.status_code, again.json()) == (202, first.json())
        assert Delivery.objects.get().status == "delivered"


class TestPending:
    def test_a_retry_comes_due_now(self, alice: Caller, event_id: str, now: datetime) -> None:
        later = datetime.now().astimezone() + timedelta(hours=8)
        Delivery.objects.update(attempts_made=3, attempts_counted=3, next_attempt_at=later)
        LaneEntry.objects.update(due_at=later, trigger="retry")
        assert len(alice.post(url(event_id)).json()["deliveries"]) == 1
        delivery, entry = Delivery.objects.get(), LaneEntry.objects.get()
        assert delivery.next_attempt_at is not None
        assert max(delivery.next_attempt_at, entry.due_at) < later - timedelta(hours=7)
        # It goes on with the schedule that it is in.
        assert (delivery.attempts_made, delivery.attempts_counted, entry.trigger) == (3, 3, "replay")

    def test_one_that_is_due_keeps_its_place(self, alice: Caller, event_id: str) -> None:
        before = LaneEntry.objects.values().get()
        alice.post(url(event_id))
        assert LaneEntry.objects.values().get() == before

    def test_one_in_flight_is_left_alone(self, alice: Caller, event_id: str, now: datetime) -> None:
        delivery = Delivery.objects.get()
        lease = now + timedelta(seconds=30)
        Lane.objects.update(lease_token=new_id(), leased_until=lease, in_flight=[delivery.id], due_at=lease)
        before = (Delivery.objects.values().get(), LaneEntry.objects.values().get())
        assert alice.post(url(event_id)).json() == {"deliveries": [delivery.public_id]}
        assert (Delivery.objects.values().get(), LaneEntry.objects.values().get()) == before


class TestOrdered:
    @pytest.fixture
    def waiting(self, event_id: str, now: datetime) -> datetime:
        """The lane waits for the retry of its first delivery, which keeps its place. Returns until when."""
        until = datetime.now().astimezone() + timedelta(hours=1)
        Endpoint.objects.update(ordered=True)
        Delivery.objects.update(attempts_made=1, attempts_counted=1, next_attempt_at=until)
        Lane.objects.update(is_ordered=True, retry_at=until, due_at=until)
        return until

    def test_the_first_delivery_ends_the_wait(self, waiting: datetime, alice: Caller, event_id: str) -> None:
        place = LaneEntry.objects.get().due_at
        alice.post(url(event_id))
        assert Lane.objects.get().not_before is None
        assert LaneEntry.objects.get().due_at == place

    def test_a_wait_for_another_reason_goes_on(self, waiting: datetime, alice: Caller, event_id: str) -> None:
        breaker = waiting + timedelta(minutes=1)
        Lane.objects.update(paced_until=breaker)
        alice.post(url(event_id))
        assert Lane.objects.get().not_before == breaker

    def test_a_replay_stands_behind_what_waits(
        self, waiting: datetime, alice: Caller, event_id: str, now: datetime
    ) -> None:
        old = publish("invoice.paid", {}, merchant="alice", now=now - timedelta(days=1))
        delivery = Delivery.objects.latest("id")
        LaneEntry.objects.filter(delivery_id=delivery.id).delete()
        Delivery.objects.filter(id=delivery.id).update(
            status="failed", attempts_made=1, next_attempt_at=None, finished_at=now
        )
        alice.post(url(old.id))
        assert [entry.delivery_id for entry in LaneEntry.objects.order_by("due_at")][-1] == delivery.id
        assert Lane.objects.get().not_before == waiting


class TestRefused:
    @pytest.mark.parametrize("is_deleted", [False, True])
    def test_a_closed_endpoint(
        self, is_deleted: bool, alice: Caller, event_id: str, endpoint: Endpoint, now: datetime
    ) -> None:
        finish("failed", now=now)
        Endpoint.objects.update(is_active=False, deleted_at=now if is_deleted else None)
        for body in (None, {"endpoint": endpoint.public_id}):
            assert code_of(alice.post(url(event_id), body)) == (409, "endpoint_closed")
        assert Delivery.objects.get().status == "failed"
        assert not LaneEntry.objects.exists()

    def test_closed_endpoints_beside_an_open_one_are_passed_over(
        self, alice: Caller, world: World, endpoint: Endpoint, make_endpoint: Make, now: datetime
    ) -> None:
        closed = make_endpoint(world.alice)
        event = publish("invoice.paid", {}, merchant="alice").id
        finish("failed", now=now)
        Endpoint.objects.filter(id=closed.id).update(is_active=False)
        (resent,) = alice.post(url(event)).json()["deliveries"]
        assert Delivery.objects.get(id=parse(Prefix.DELIVERY, resent)).endpoint_id == endpoint.id
        assert code_of(alice.post(url(event), {"endpoint": closed.public_id})) == (409, "endpoint_closed")

    def test_only_the_named_endpoint(
        self, alice: Caller, world: World, endpoint: Endpoint, make_endpoint: Make, now: datetime
    ) -> None:
        make_endpoint(world.alice)
        event = publish("invoice.paid", {}, merchant="alice").id
        finish("failed", now=now)
        assert len(alice.post(url(event), {"endpoint": endpoint.public_id}).json()["deliveries"]) == 1
        assert Delivery.objects.get(status="pending").endpoint_id == endpoint.id

    def test_an_endpoint_that_was_never_owed_it(
        self, alice: Caller, world: World, event_id: str, make_endpoint: Make
    ) -> None:
        for other in (make_endpoint(world.alice), make_endpoint(world.bob)):
            assert code_of(alice.post(url(event_id), {"endpoint": other.public_id})) == (404, "not_found")

    def test_an_event_without_deliveries(self, alice: Caller, world: World) -> None:
        event = publish("invoice.paid", {}, merchant="alice").id
        response = alice.post(url(event))
        assert (response.status_code, response.json()) == (202, {"deliveries": []})

    @pytest.mark.parametrize(
        ("body", "errors"),
        [
            ({"endpoint": 7}, [("/endpoint", "wrong_type")]),
            ({"endpoint": "x"}, [("/endpoint", "invalid_id")]),
            ({"more": 7}, [("/more", "unknown_field")]),
            ([], [("", "wrong_type")]),
        ],
    )
    def test_wrong_bodies(self, body: Any, errors: list[tuple[str, str]], alice: Caller, event_id: str) -> None:
        assert errors_of(alice.post(url(event_id), body)) == errors


class TestTenancy:
    def test_strangers_find_nothing_and_nothing_happens(
        self, world: World, event_id: str, endpoint: Endpoint, caller_of: Callable[[Merchant], Caller], now: datetime
    ) -> None:
        finish("failed", now=now)
        for stranger in (world.bob, world.charlie, world.portfolio):
            for body in (None, {"endpoint": endpoint.public_id}):
                assert code_of(caller_of(stranger).post(url(event_id), body)) == (404, "not_found")
        assert Delivery.objects.get().status == "failed"
        assert not LaneEntry.objects.exists()

    def test_others_deliveries_of_the_same_event_are_left_alone(
        self, alice: Caller, world: World, endpoint: Endpoint, make_endpoint: Make, now: datetime
    ) -> None:
        above = make_endpoint(world.portfolio)
        event = publish("invoice.paid", {}, merchant="alice").id
        finish("failed", now=now)
        assert len(alice.post(url(event)).json()["deliveries"]) == 1
        assert Delivery.objects.get(endpoint_id=above.id).status == "failed"
        assert code_of(alice.post(url(event), {"endpoint": above.public_id})) == (404, "not_found")

    def test_no_such_event(self, alice: Caller, event_id: str) -> None:
        assert code_of(alice.post(url(show(Prefix.EVENT, new_id())))) == (404, "not_found")


def test_statements_do_not_grow_with_the_deliveries(
    alice: Caller, world: World, make_endpoint: Make, now: datetime
) -> None:
    counts = []
    for _ in range(2):
        for _ in range(5):
            make_endpoint(world.alice)
        event = publish("invoice.paid", {}, merchant="alice").id
        finish("failed", now=now)
        with CaptureQueriesContext(connection) as queries:
            alice.post(url(event))
        counts.append(len(queries))
    assert counts[0] == counts[1]


@pytest.mark.django_db(transaction=True)
class TestRaces:
    def test_ten_at_once_make_one_entry(self, alice: Caller, event_id: str, now: datetime) -> None:
        finish("failed", now=now)
        barrier = Barrier(10)

        def call(_: int) -> Any:
            try:
                barrier.wait()
                return alice.post(url(event_id)).json()
            finally:
                connection.close()

        with ThreadPoolExecutor(10) as pool:
            answers = list(pool.map(call, range(10)))
        assert answers == [answers[0]] * 10
        assert (LaneEntry.objects.count(), Delivery.objects.get().status) == (1, "pending")

    def test_waits_for_the_drain_that_holds_the_lane_row(self, alice: Caller, event_id: str, now: datetime) -> None:
        """It records `delivered` while the merchant asks: the replay then sees a final delivery, not a pending one."""
        delivery = Delivery.objects.get()

        def call() -> Any:
            try:
                return alice.post(url(event_id))
            finally:
                connection.close()

        with ThreadPoolExecutor(1) as pool:
            with transaction.atomic():
                Lane.objects.select_for_update(no_key=True).get()
                asked = pool.submit(call)
                with pytest.raises(TimeoutError):
                    asked.result(timeout=0.3)
                LaneEntry.objects.all().delete()
                Delivery.objects.update(
                    status="delivered", attempts_made=1, next_attempt_at=None, finished_at=now, last_reason="delivered"
                )
            assert asked.result(timeout=5).json() == {"deliveries": [delivery.public_id]}
        assert (Delivery.objects.get().status, LaneEntry.objects.get().trigger) == ("pending", "replay")
