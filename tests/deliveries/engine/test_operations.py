"""What the engine tells about itself: once for each change, in the turn that makes it, and never in circles."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from deliveries.models import Delivery, Event, Lane
from deliveries.services import operations
from dispatcher.outcomes import Reason
from dispatcher.retry import Decision
from dispatcher.streak import Verdict
from subscriptions.models import Endpoint, Merchant, Occurrence
from subscriptions.operational import Operation
from subscriptions.services import endpoints
from subscriptions.services.notices import Failing
from tests.deliveries.conftest import NOW
from tests.deliveries.engine.conftest import HandDrain, result

pytestmark = pytest.mark.django_db(transaction=True)

LIMIT = timedelta(days=5)
Make = Callable[..., Any]
Publish = Callable[..., None]


@pytest.fixture
def publish_many(publish_many: Publish) -> Publish:
    """As the engine's, and due at the tests' time rather than the database's."""

    def publish(reference: str, count: int, *, now: datetime, **fields: Any) -> None:
        publish_many(reference, count, now=now, **fields)
        Lane.objects.update(due_at=now, window=50)

    return publish


@pytest.fixture
def alice(make_merchant: Make, make_type: Make) -> Merchant:
    make_type("invoice.paid")
    merchant: Merchant = make_merchant("alice")
    return merchant


@pytest.fixture
def endpoint(alice: Merchant, make_endpoint: Make) -> Endpoint:
    made: Endpoint = make_endpoint(alice, event_types=["invoice.*"], retry_schedule=[])
    return made


def told() -> list[str]:
    return list(Occurrence.objects.order_by("id").values_list("type", flat=True))


def fail_all(drain: HandDrain, now: datetime, reason: Reason = Reason.HTTP_SERVER_ERROR) -> Any:
    """Everything that is due goes out and comes back so."""
    Lane.objects.update(due_at=now, window=50)
    plan = drain.turn(now=now, disable_after=LIMIT)
    results = [result(pick, reason, now=now, status=503) for pick in plan.picks]
    for one in results:
        object.__setattr__(one, "decision", Decision("failed", None, is_counted=True))
        object.__setattr__(one, "next_attempt_at", None)
    return drain.turn(now=now, results=results, disable_after=LIMIT, is_claiming=False), results


class TestFailedForGood:
    def test_is_told_with_what_came_of_it(self, endpoint: Endpoint, drain: HandDrain, publish_many: Publish) -> None:
        publish_many("alice", 1, now=NOW)
        fail_all(drain, NOW)
        told_of = Occurrence.objects.get()
        delivery = Delivery.objects.get()
        assert (told_of.type, told_of.merchant_id, told_of.endpoint_id) == (
            "signet.delivery.failed",
            endpoint.owner_id,
            endpoint.id,
        )
        assert told_of.detail == {
            "reason": "http_server_error",
            "message": "The receiver failed",
            "response_code": 503,
            "delivery": delivery.public_id,
            "event": {"id": Event.objects.get().public_id, "type": "invoice.paid", "account": None},
            "attempts": 1,
        }

    def test_a_lane_that_is_held_and_due_again_is_told_of_once(
        self, endpoint: Endpoint, drain: HandDrain, publish_many: Publish
    ) -> None:
        """It had more than the drain could carry, so the next turn finds it among its own and among those due."""
        publish_many("alice", 4, now=NOW)
        Lane.objects.update(reported_at=NOW - timedelta(days=1))
        picks = drain.turn(now=NOW, free=2).picks
        assert len(picks) == 2
        drain.turn(now=NOW, results=[result(picks[0], Reason.DELIVERED, now=NOW)])
        assert told() == ["signet.endpoint.recovered"]

    def test_what_is_tried_again_or_arrives_is_not_told(
        self, endpoint: Endpoint, drain: HandDrain, publish_many: Publish
    ) -> None:
        publish_many("alice", 2, now=NOW)
        plan = drain.turn(now=NOW)
        first, second = plan.picks
        results = [result(first, Reason.DELIVERED, now=NOW), result(second, Reason.HTTP_SERVER_ERROR, now=NOW)]
        drain.turn(now=NOW, results=results)
        assert told() == []

    def test_a_group_that_is_written_twice_is_told_once(
        self, endpoint: Endpoint, drain: HandDrain, publish_many: Publish
    ) -> None:
        publish_many("alice", 3, now=NOW)
        publish_many("alice", 1, now=NOW)
        plan = drain.turn(now=NOW, free=3)
        results = [result(pick, Reason.RECIPIENT_REFUSED, now=NOW) for pick in plan.picks]
        assert {one.decision.status for one in results} == {"failed"}
        drain.turn(now=NOW, results=results)
        drain.turn(now=NOW, results=results)
        assert told() == ["signet.delivery.failed"] * 3

    @pytest.mark.parametrize("count", [1, 40])
    def test_costs_one_statement_for_a_group_of_any_size(
        self, count: int, endpoint: Endpoint, drain: HandDrain, publish_many: Publish, count_statements: Any
    ) -> None:
        publish_many("alice", count, now=NOW)
        picks = drain.turn(now=NOW).picks
        assert len(picks) == count
        results = [result(pick, Reason.RECIPIENT_REFUSED, now=NOW) for pick in picks]
        with count_statements(drain.store) as seen:
            drain.turn(now=NOW, results=results, is_claiming=False)
        # RECORD, LOCK_LANES, SAVE_LANES, TELL
        assert len(seen) == 4
        assert Occurrence.objects.count() == count

    def test_a_group_in_which_nothing_ends_costs_nothing_more(
        self, endpoint: Endpoint, drain: HandDrain, publish_many: Publish, count_statements: Any
    ) -> None:
        publish_many("alice", 4, now=NOW)
        picks = drain.turn(now=NOW).picks
        reasons = [Reason.DELIVERED, Reason.DELIVERED, Reason.HTTP_SERVER_ERROR, Reason.CONNECT_TIMEOUT]
        results = [result(pick, reason, now=NOW) for pick, reason in zip(picks, reasons, strict=True)]
        with count_statements(drain.store) as seen:
            drain.turn(now=NOW, results=results, is_claiming=False)
        assert len(seen) == 3

    def test_is_told_with_the_record_or_not_at_all(
        self, endpoint: Endpoint, drain: HandDrain, publish_many: Publish, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        publish_many("alice", 1, now=NOW)
        plan = drain.turn(now=NOW)
        monkeypatch.setattr(drain.store, "tell", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            drain.turn(now=NOW, results=[result(plan.picks[0], Reason.RECIPIENT_REFUSED, now=NOW)])
        assert (Delivery.objects.get().status, told()) == ("pending", [])


def try_once(drain: HandDrain, publish: Publish, now: datetime, reason: Reason, type_: str = "invoice.paid") -> Any:
    publish("alice", 1, now=now, type=type_)
    Lane.objects.update(open_until=None, open_s=0)
    picks = drain.turn(now=now, disable_after=LIMIT).picks
    results = [result(pick, reason, now=now) for pick in picks]
    return drain.turn(now=now, results=results, disable_after=LIMIT, is_claiming=False)


class TestFailingAndRecovered:
    def test_come_once_each_and_in_turn(self, endpoint: Endpoint, drain: HandDrain, publish_many: Publish) -> None:
        Endpoint.objects.update(retry_schedule=None)
        days = timedelta(days=1)
        story = [
            (0 * days, Reason.CONNECT_REFUSED, []),
            (2 * days, Reason.CONNECT_REFUSED, []),
            (2.5 * days, Reason.CONNECT_REFUSED, ["signet.endpoint.failing"]),
            (3 * days, Reason.CONNECT_REFUSED, ["signet.endpoint.failing"]),
            (4 * days, Reason.DELIVERED, ["signet.endpoint.failing", "signet.endpoint.recovered"]),
            (5 * days, Reason.DELIVERED, ["signet.endpoint.failing", "signet.endpoint.recovered"]),
            (6 * days, Reason.CONNECT_REFUSED, ["signet.endpoint.failing", "signet.endpoint.recovered"]),
        ]
        for after, reason, expected in story:
            try_once(drain, publish_many, NOW + after, reason)
            assert told() == expected
        failing, recovered = Occurrence.objects.order_by("id")
        assert failing.detail == {
            "reason": "connect_refused",
            "message": "The connection was refused",
            "response_code": None,
            "failing_since": "2026-03-01T12:00:00Z",
            "disabled_after_days": 5,
        }
        assert recovered.detail == {"reported_at": "2026-03-04T00:00:00Z"}
        assert Lane.objects.get().reported_at is None

    def test_an_endpoint_that_was_switched_off_recovers_when_it_delivers_again(
        self, endpoint: Endpoint, drain: HandDrain, publish_many: Publish
    ) -> None:
        for hours in (0, 60, 120):
            plan = try_once(drain, publish_many, NOW + timedelta(hours=hours), Reason.CONNECT_REFUSED)
        assert plan.verdicts == {endpoint.id: Verdict.DISABLE}
        later = NOW + timedelta(hours=121)
        failing = Failing(NOW, "connect_refused")
        assert endpoints.disable(endpoint_id=endpoint.id, reason=endpoints.FAILING, now=later, failing=failing)
        drain.turn(now=later)
        endpoints.enable(merchant=endpoint.owner, endpoint_id=endpoint.id, now=later, actor="t")
        assert told() == ["signet.endpoint.failing", "signet.endpoint.disabled"]
        try_once(drain, publish_many, later + timedelta(hours=1), Reason.DELIVERED)
        assert told() == ["signet.endpoint.failing", "signet.endpoint.disabled", "signet.endpoint.recovered"]


class TestNoLoops:
    def hears(self, alice: Merchant, make_endpoint: Make, **fields: Any) -> Endpoint:
        made: Endpoint = make_endpoint(alice, event_types=["signet.*"], **fields)
        return made

    def test_what_becomes_of_such_a_delivery_is_never_told(
        self, alice: Merchant, endpoint: Endpoint, make_endpoint: Make, drain: HandDrain, publish_many: Publish
    ) -> None:
        for _ in range(3):
            self.hears(alice, make_endpoint)
        publish_many("alice", 5, now=NOW)
        fail_all(drain, NOW)
        assert told() == ["signet.delivery.failed"] * 5
        rounds = 0
        while operations.publish_step(now=NOW):
            fail_all(drain, NOW)
            rounds += 1
        assert rounds == 1
        # Five events, each to three who listen; all of these deliveries failed for good, and that is the end of it.
        assert Event.objects.filter(type="signet.delivery.failed").count() == 5
        assert Delivery.objects.filter(event_type__startswith="signet.", status="failed").count() == 15
        assert Occurrence.objects.count() == 0

    def test_dead_listeners_that_hear_of_each_other_end_in_one_event_each(
        self, alice: Merchant, make_endpoint: Make, drain: HandDrain
    ) -> None:
        """Three listeners, each of which takes nothing, for forty days; something to tell comes every twelve hours."""
        listeners = [self.hears(alice, make_endpoint) for _ in range(3)]
        bystander = make_endpoint(alice, event_types=["invoice.paid"])
        secrets = 0
        for half_days in range(80):
            now = NOW + timedelta(hours=12 * half_days)
            if half_days < 20:
                secrets += 1
                Occurrence.objects.create(
                    type=Operation.SECRET_ROTATED,
                    merchant_id=alice.id,
                    endpoint_id=bystander.id,
                    detail={"secret": "sec_x", "previous_expires_at": None},
                    created_at=now,
                )
            while operations.publish_step(now=now):
                pass
            Lane.objects.update(open_until=None, open_s=0)
            plan, _ = fail_all(drain, now)
            for endpoint_id, verdict in plan.verdicts.items():
                if verdict is Verdict.DISABLE:
                    endpoints.disable(endpoint_id=endpoint_id, reason="failing", now=now, failing=Failing(NOW, "x"))
        assert {row.is_active for row in Endpoint.objects.filter(id__in=[row.id for row in listeners])} == {False}
        kinds = list(Event.objects.values_list("type", flat=True))
        assert kinds.count("signet.secret.rotated") == secrets == 20
        # One for each listener that was switched off; none that it is failing, none that a delivery failed.
        assert kinds.count("signet.endpoint.disabled") == 3
        assert len(kinds) == 23
        assert Occurrence.objects.count() == 0

    def test_one_that_hears_both_is_told_of_by_its_ordinary_deliveries(
        self, alice: Merchant, make_type: Make, make_endpoint: Make, drain: HandDrain, publish_many: Publish
    ) -> None:
        both = make_endpoint(alice, event_types=["signet.*", "invoice.paid"])
        other = make_endpoint(alice, event_types=["nothing.*"])

        def news(at: datetime, reason: Reason) -> None:
            Occurrence.objects.filter(type=Operation.SECRET_ROTATED).delete()
            row = Occurrence(type=Operation.SECRET_ROTATED, merchant_id=alice.id, endpoint_id=other.id, detail={})
            row.created_at = at
            row.save()
            operations.publish_step(now=at)
            Lane.objects.update(due_at=at, open_until=None, open_s=0)
            picks = drain.turn(now=at, disable_after=LIMIT).picks
            assert {pick.event_type for pick in picks} == {"signet.secret.rotated"}
            results = [result(pick, reason, now=at) for pick in picks]
            for one in results:
                object.__setattr__(one, "decision", Decision("failed", None, is_counted=True))
                object.__setattr__(one, "next_attempt_at", None)
            drain.turn(now=at, results=results, disable_after=LIMIT, is_claiming=False)

        for hours in (0, 61):
            news(NOW + timedelta(hours=hours), Reason.CONNECT_REFUSED)
        lane = Lane.objects.get(endpoint_id=both.id)
        assert (lane.warned_at, lane.reported_at, told()) == (NOW + timedelta(hours=61), None, [])
        at = NOW + timedelta(hours=62)
        try_once(drain, publish_many, at, Reason.CONNECT_REFUSED)
        assert told() == ["signet.endpoint.failing"]
