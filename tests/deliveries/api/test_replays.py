"""Replays: recover, replay what is missing, release what is held; whole, bounded, and safe to interrupt."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from deliveries.models import Delivery, LaneEntry, Replay
from deliveries.services import NewEvent, publish_batch, replays, retention
from dispatcher.ids import Prefix, new_id, show
from subscriptions.models import AuditEntry, Endpoint, Merchant
from tests.deliveries.api.conftest import Caller, World, code_of, errors_of

Make = Callable[..., Any]
FINAL = {"delivered", "failed", "cancelled"}

pytestmark = pytest.mark.django_db(transaction=True)


def url(endpoint: Endpoint, what: str) -> str:
    return f"/api/v2/webhooks/endpoints/{endpoint.public_id}/{what}"


def publish_many(count: int, *, merchant: str = "alice", type: str = "invoice.paid", **fields: Any) -> None:  # noqa: A002
    events = [NewEvent(type, b"%d" % number, merchant, **fields) for number in range(count)]
    publish_batch(events, scope="t", now=timezone.now())


def settle(status: str, rows: Any = None) -> None:
    """These deliveries (else all) end so; nothing waits for them any more."""
    rows = Delivery.objects.all() if rows is None else rows
    finished_at = timezone.now() if status in FINAL else None
    ids = list(rows.values_list("id", flat=True))
    LaneEntry.objects.filter(delivery_id__in=ids).delete()
    values: dict[str, Any] = {"status": status, "attempts_made": 3, "attempts_counted": 3, "next_attempt_at": None}
    Delivery.objects.filter(id__in=ids).update(**values, finished_at=finished_at)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Of a query plan, the topmost first."""
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


def in_thread(do: Callable[[], int]) -> int:
    """With a connection of its own, which ends with it."""
    try:
        return do()
    finally:
        connection.close()


def run() -> int:
    return replays.advance(clock=timezone.now)


def since(**ago: float) -> str:
    return (timezone.now() - timedelta(**ago)).isoformat().replace("+00:00", "Z")


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No broker is asked: the drains are not part of this."""
    monkeypatch.setattr("deliveries.doorbell.Doorbell.ring", lambda self: True)


class TestRecover:
    def test_sends_again_what_failed_in_the_window_and_nothing_else(self, alice: Caller, endpoint: Endpoint) -> None:
        publish_many(5)
        first, second, third, fourth, fifth = Delivery.objects.order_by("id")
        settle("failed", Delivery.objects.filter(id__in=[first.id, second.id, fifth.id]))
        settle("delivered", Delivery.objects.filter(id=third.id))
        settle("held", Delivery.objects.filter(id=fourth.id))
        Delivery.objects.filter(id=fifth.id).update(created_at=timezone.now() - timedelta(hours=2))
        begun = alice.post(url(endpoint, "recover"), {"since": since(hours=1)})
        assert begun.status_code == 202
        assert begun.headers["Location"] == f"/api/v2/webhooks/replays/{begun.json()['id']}"
        assert (begun.json()["status"], begun.json()["sent"], begun.json()["progress"]) == ("running", 0, 0)
        assert run() == 2
        assert set(LaneEntry.objects.values_list("delivery_id", "trigger")) == {
            (first.id, "replay"),
            (second.id, "replay"),
        }
        first.refresh_from_db()
        assert (first.status, first.attempts_made, first.attempts_counted) == ("pending", 3, 0)
        shown = alice.get(f"/api/v2/webhooks/replays/{begun.json()['id']}").json()
        assert (shown["status"], shown["sent"], shown["progress"], shown["stop_reason"]) == ("finished", 2, 1, None)
        assert run() == 0

    def test_takes_another_endpoints_failures_never(self, world: World, alice: Caller, make_endpoint: Make) -> None:
        mine, other = make_endpoint(world.alice), make_endpoint(world.alice)
        publish_many(3)
        settle("failed")
        alice.post(url(mine, "recover"), {"since": since(hours=1)})
        assert run() == 3
        assert set(LaneEntry.objects.values_list("endpoint_id", flat=True)) == {mine.id}
        assert Delivery.objects.filter(endpoint_id=other.id, status="failed").count() == 3

    def test_goes_on_step_by_step_and_feeds_no_full_lane(
        self, alice: Caller, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(replays, "STEP_MOST", 4)
        monkeypatch.setattr(replays, "LANE_MOST", 10)
        publish_many(25)
        settle("failed")
        alice.post(url(endpoint, "recover"), {"since": since(hours=1)})
        assert run() == 12
        replay = Replay.objects.get()
        assert (replay.status, replay.sent) == ("running", 12)
        in_order = list(Delivery.objects.order_by("id").values_list("id", flat=True))
        assert set(LaneEntry.objects.values_list("delivery_id", flat=True)) == set(in_order[:12])
        assert run() == 0
        settle("delivered", Delivery.objects.filter(status="pending"))
        assert run() == 12
        settle("delivered", Delivery.objects.filter(status="pending"))
        assert run() == 1
        replay.refresh_from_db()
        assert (replay.status, replay.sent) == ("finished", 25)

    def test_looks_at_a_bounded_number_of_rows_and_still_finds_all(
        self, alice: Caller, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(replays.LOOK_MOST, Replay.Kind.RECOVER, 3)
        publish_many(20)
        settle("delivered")
        failed = list(Delivery.objects.order_by("id").values_list("id", flat=True))[3::8]
        settle("failed", Delivery.objects.filter(id__in=failed))
        assert alice.post(url(endpoint, "recover"), {"since": since(hours=1), "dry_run": True}).json() == {
            "count": 2,
            "is_exact": False,
        }
        alice.post(url(endpoint, "recover"), {"since": since(hours=1)})
        assert run() == 3
        assert set(LaneEntry.objects.values_list("delivery_id", flat=True)) == set(failed)

    def test_a_step_that_dies_is_done_again_whole(
        self, alice: Caller, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        publish_many(3)
        settle("failed")
        alice.post(url(endpoint, "recover"), {"since": since(hours=1)})

        def die(*args: Any, **kwargs: Any) -> None:
            raise RuntimeError

        with monkeypatch.context() as patch:
            patch.setattr(Replay, "save", die)
            with pytest.raises(RuntimeError):
                run()
        assert not LaneEntry.objects.exists()
        assert run() == 3

    def test_two_ticks_at_once_send_each_delivery_once(
        self, alice: Caller, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(replays, "STEP_MOST", 7)
        publish_many(100)
        settle("failed")
        alice.post(url(endpoint, "recover"), {"since": since(hours=1)})
        barrier = Barrier(2)

        def tick() -> int:
            barrier.wait()
            try:
                return run()
            finally:
                connection.close()

        with ThreadPoolExecutor(2) as pool:
            total = sum(future.result() for future in [pool.submit(tick), pool.submit(tick)])
        total += run()
        assert total == 100 == LaneEntry.objects.count()

    def test_a_tick_ends_in_time_and_the_next_goes_on_with_those_that_waited(
        self, world: World, alice: Caller, make_endpoint: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(replays, "TICK_S", 0.0)
        made = [make_endpoint(world.alice) for _ in range(3)]
        publish_many(2)
        settle("failed")
        for endpoint in made:
            alice.post(url(endpoint, "recover"), {"since": since(hours=1)})
        assert [run() for _ in range(4)] == [2, 2, 2, 0]
        due = LaneEntry.objects.order_by("due_at").values_list("endpoint_id", flat=True)
        assert list(dict.fromkeys(due)) == [endpoint.id for endpoint in made]

    def test_stops_when_the_endpoint_is_closed_meanwhile(self, alice: Caller, endpoint: Endpoint) -> None:
        publish_many(2)
        settle("failed")
        begun = alice.post(url(endpoint, "recover"), {"since": since(hours=1)}).json()
        Endpoint.objects.update(is_active=False)
        assert run() == 0
        shown = alice.get(f"/api/v2/webhooks/replays/{begun['id']}").json()
        assert (shown["status"], shown["stop_reason"], shown["sent"]) == ("stopped", "endpoint_closed", 0)
        assert not LaneEntry.objects.exists()


class TestRelease:
    def test_sends_what_is_held_without_asking_for_a_window(self, alice: Caller, endpoint: Endpoint) -> None:
        Endpoint.objects.update(is_active=False)
        publish_many(3)
        assert set(Delivery.objects.values_list("status", flat=True)) == {"held"}
        assert code_of(alice.post(url(endpoint, "release"))) == (409, "endpoint_closed")
        Endpoint.objects.update(is_active=True)
        assert alice.post(url(endpoint, "release"), {"dry_run": True}).json() == {"count": 3, "is_exact": True}
        assert alice.post(url(endpoint, "release")).status_code == 202
        assert run() == 3
        assert set(Delivery.objects.values_list("status", flat=True)) == {"pending"}


class TestMissing:
    def test_owes_the_endpoint_what_it_was_never_owed(
        self, world: World, alice: Caller, endpoint: Endpoint, make_endpoint: Make
    ) -> None:
        publish_many(3)
        late = make_endpoint(world.alice, event_types=["invoice.*"])
        publish_many(2)
        before = set(Delivery.objects.values_list("id", flat=True))
        alice.post(url(late, "replay-missing"), {"since": since(hours=1)})
        assert run() == 3
        new = Delivery.objects.exclude(id__in=before)
        assert {(row.endpoint_id, row.owner_id, row.status, row.attempts_made) for row in new} == {
            (late.id, world.alice.id, "pending", 0)
        }
        # Numbered behind the event's other delivery, and as old as the event: the log finds them in its window.
        assert all(str(row.id)[:33] == str(row.event_id)[:33] and str(row.id).endswith("002") for row in new)
        rows = alice.get("/api/v2/webhooks/events", {"endpoint": late.public_id, "since": since(hours=1)}).json()
        assert len(rows) == 5
        assert alice.post(url(late, "replay-missing"), {"since": since(hours=1), "dry_run": True}).json() == {
            "count": 0,
            "is_exact": True,
        }

    def test_keeps_to_the_endpoints_types_and_accounts(self, world: World, alice: Caller, make_endpoint: Make) -> None:
        publish_many(1)
        publish_many(1, type="invoice.sent")
        publish_many(1, account="card-1")
        by_type = make_endpoint(world.alice, event_types=["invoice.sent"])
        by_prefix = make_endpoint(world.alice, event_types=["invoice.*"])
        by_other_prefix = make_endpoint(world.alice, event_types=["inv.*"])
        by_account = make_endpoint(world.alice, accounts=["card-1"])
        for made in (by_type, by_prefix, by_other_prefix, by_account):
            alice.post(url(made, "replay-missing"), {"since": since(hours=1)})
        assert run() == 5
        counts = {made.id: Delivery.objects.filter(endpoint_id=made.id).count() for made in Endpoint.objects.all()}
        assert counts == {by_type.id: 1, by_prefix.id: 3, by_other_prefix.id: 0, by_account.id: 1}

    def test_a_portfolio_gets_those_of_all_below_and_nobody_elses(
        self, world: World, caller_of: Callable[[Merchant | None], Caller], make_endpoint: Make
    ) -> None:
        publish_many(2)
        publish_many(3, merchant="bob")
        above = make_endpoint(world.portfolio)
        caller_of(world.portfolio).post(url(above, "replay-missing"), {"since": since(hours=1)})
        assert run() == 2
        assert Delivery.objects.filter(endpoint_id=above.id).count() == 2

    def test_two_endpoints_at_once_take_two_places_behind_one_event(
        self, world: World, alice: Caller, make_endpoint: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        publish_many(30)
        made = [make_endpoint(world.alice) for _ in range(4)]
        for one in made:
            alice.post(url(one, "replay-missing"), {"since": since(hours=1)})
        barrier = Barrier(4)

        def tick(replay_id: Any) -> int:
            barrier.wait()
            try:
                return replays._run_slice(replay_id, timezone.now)
            finally:
                connection.close()

        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(tick, Replay.objects.values_list("id", flat=True))) == 120
        assert Delivery.objects.count() == 120

    def test_reads_the_log_of_the_endpoints_merchants_only(self, world: World, make_endpoint: Make) -> None:
        """What planners like to walk through instead: the log of all, for one that has few events or none."""
        publish_many(1_000, merchant="bob")
        endpoint = make_endpoint(world.portfolio)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE deliveries_event, subscriptions_merchant, subscriptions_endpoint")
        with CaptureQueriesContext(connection) as queries:
            replays.count(endpoint=endpoint, kind=Replay.Kind.MISSING, since=None, until=None, now=timezone.now())
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {queries[-1]['sql']}")
            (plan,) = cursor.fetchone()[0]
        scans = [node for node in nodes(plan["Plan"]) if node.get("Relation Name", "").startswith("deliveries_event_")]
        assert scans
        assert all("merchant" in scan.get("Index Name", "") for scan in scans)
        assert sum(scan.get("Rows Removed by Filter", 0) for scan in scans) == 0

    def test_owes_nothing_for_an_event_that_retention_is_taking_away(
        self, world: World, alice: Caller, make_endpoint: Make, settings: Any
    ) -> None:
        publish_many(1)
        late = make_endpoint(world.alice)
        # Something of that day is still owed, so that its events go one by one.
        make_endpoint(world.bob)
        publish_many(1, merchant="bob")
        alice.post(url(late, "replay-missing"), {"since": since(hours=1)})
        expired_at = timezone.now() + timedelta(days=settings.RETENTION_DAYS)
        purge = retention.purge(before=timezone.now() + timedelta(days=1), now=expired_at)
        with ThreadPoolExecutor(1) as pool, transaction.atomic():
            assert next(purge).events == 1
            # The event is deleted and not yet committed: others still see it.
            assert pool.submit(in_thread, lambda: replays.advance(clock=lambda: expired_at)).result() == 0
        assert not Delivery.objects.filter(endpoint_id=late.id).exists()
        assert not LaneEntry.objects.filter(endpoint_id=late.id).exists()
        assert Replay.objects.get().status == "finished"

    def test_leaves_test_events_alone(self, world: World, alice: Caller, make_endpoint: Make) -> None:
        publish_many(1)
        connection.cursor().execute("UPDATE deliveries_event SET is_test = TRUE")
        late = make_endpoint(world.alice)
        alice.post(url(late, "replay-missing"), {"since": since(hours=1)})
        assert run() == 0


class TestAsking:
    def test_one_of_a_kind_runs_at_a_time(self, alice: Caller, endpoint: Endpoint) -> None:
        body = {"since": since(hours=1)}
        assert alice.post(url(endpoint, "recover"), body).status_code == 202
        assert code_of(alice.post(url(endpoint, "recover"), body)) == (409, "replay_running")
        assert alice.post(url(endpoint, "replay-missing"), body).status_code == 202

    @pytest.mark.parametrize(
        ("body", "faults"),
        [
            ({}, [("/since", "required")]),
            ({"since": None}, [("/since", "wrong_type")]),
            ({"since": "yesterday"}, [("/since", "invalid_time")]),
            ({"since": "2026-01-01T00:00:00Z", "till": 1}, [("/till", "unknown_field")]),
            ({"since": "2199-01-01T00:00:00Z"}, [("/since", "invalid_window")]),
            ({"since": "2001-01-01T00:00:00Z", "until": "2001-01-02T00:00:00Z"}, [("/since", "invalid_window")]),
            ({"since": "0001-01-01T00:00:00Z", "dry_run": "yes"}, [("/dry_run", "wrong_type")]),
        ],
    )
    def test_a_wrong_body_is_told_and_begins_nothing(
        self, body: Any, faults: Any, alice: Caller, endpoint: Endpoint
    ) -> None:
        assert errors_of(alice.post(url(endpoint, "recover"), body)) == faults
        assert not Replay.objects.exists()

    def test_the_same_key_begins_one_replay(self, alice: Caller, endpoint: Endpoint) -> None:
        body = {"since": since(hours=1)}
        first = alice.post(url(endpoint, "recover"), body, Idempotency_Key="one")
        assert alice.post(url(endpoint, "recover"), body, Idempotency_Key="one").json() == first.json()
        assert Replay.objects.count() == 1

    def test_can_be_stopped(self, alice: Caller, endpoint: Endpoint) -> None:
        publish_many(1)
        settle("failed")
        begun = alice.post(url(endpoint, "recover"), {"since": since(hours=1)}).json()
        stopped = alice.post(f"/api/v2/webhooks/replays/{begun['id']}/stop")
        assert (stopped.status_code, stopped.json()["status"], stopped.json()["stop_reason"]) == (
            200,
            "stopped",
            "asked",
        )
        assert run() == 0
        assert alice.post(f"/api/v2/webhooks/replays/{begun['id']}/stop").json()["status"] == "stopped"

    def test_strangers_find_and_begin_nothing(self, alice: Caller, charlie: Caller, endpoint: Endpoint) -> None:
        body = {"since": since(hours=1)}
        for what in ("recover", "replay-missing", "release"):
            assert code_of(charlie.post(url(endpoint, what), body)) == (404, "not_found")
        assert not Replay.objects.exists()
        mine = alice.post(url(endpoint, "recover"), body).json()["id"]
        for refused in (
            charlie.get(f"/api/v2/webhooks/replays/{mine}"),
            charlie.post(f"/api/v2/webhooks/replays/{mine}/stop"),
            alice.get(f"/api/v2/webhooks/replays/{show(Prefix.REPLAY, new_id())}"),
            alice.get("/api/v2/webhooks/replays/rpl_x"),
        ):
            assert code_of(refused) == (404, "not_found")
        assert charlie.get("/api/v2/webhooks/replays").json() == {"data": [], "next_cursor": None}
        assert Replay.objects.get().status == "running"

    def test_are_listed_newest_first_by_page_and_endpoint(
        self, world: World, alice: Caller, endpoint: Endpoint, make_endpoint: Make
    ) -> None:
        other = make_endpoint(world.alice)
        first = alice.post(url(endpoint, "recover"), {"since": since(hours=1)}).json()["id"]
        second = alice.post(url(other, "recover"), {"since": since(hours=1)}).json()["id"]
        page = alice.get("/api/v2/webhooks/replays", {"limit": 1}).json()
        assert [row["id"] for row in page["data"]] == [second]
        rest = alice.get("/api/v2/webhooks/replays", {"limit": 1, "cursor": page["next_cursor"]}).json()
        assert ([row["id"] for row in rest["data"]], rest["next_cursor"]) == ([first], None)
        only = alice.get("/api/v2/webhooks/replays", {"endpoint": endpoint.public_id}).json()
        assert [row["id"] for row in only["data"]] == [first]
        assert errors_of(alice.get("/api/v2/webhooks/replays", {"endpoint": "x"})) == [("/endpoint", "invalid_id")]

    def test_is_written_down_when_it_begins_and_when_it_ends(self, alice: Caller, endpoint: Endpoint) -> None:
        publish_many(2)
        settle("failed")
        AuditEntry.objects.all().delete()
        begun = alice.post(url(endpoint, "recover"), {"since": since(hours=1)}).json()["id"]
        run()
        entries = list(AuditEntry.objects.order_by("id").values_list("action", "target", "detail"))
        detail = {"replay": begun, "kind": "recover"}
        assert entries == [
            ("replay.begun", endpoint.public_id, {**detail, "sent": 0}),
            ("replay.finished", endpoint.public_id, {**detail, "sent": 2}),
        ]

    def test_a_step_takes_a_fixed_number_of_statements(self, alice: Caller, endpoint: Endpoint) -> None:
        publish_many(50)
        settle("failed")
        alice.post(url(endpoint, "recover"), {"since": since(hours=1)})
        replay = Replay.objects.get()
        with CaptureQueriesContext(connection) as captured:
            assert replays._step(replay.id, now=timezone.now()) == 50
        assert len(captured) == 14, [query["sql"][:90] for query in captured]
