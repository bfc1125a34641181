"""The console's figures: what is due, what is in flight, how fast it goes and what fails, each exactly or bounded."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from deliveries.models import Attempt, CountDelta, Delivery, Event, HourlyCount, Lane, LaneEntry
from deliveries.selectors import overall, queue
from deliveries.selectors.failing import Failing, disables_at, failing
from dispatcher.ids import first_id, new_id
from dispatcher.latencies import CLASSES
from subscriptions.models import Endpoint, Merchant

Make = Callable[..., Any]
NOW = datetime(2026, 3, 1, 12, 34, 56, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))


@pytest.fixture
def alice(make_merchant: Make) -> Merchant:
    made: Merchant = make_merchant("alice")
    return made


def lane(endpoint: Endpoint, *, due: timedelta | None, entries: int = 0, **values: Any) -> Lane:
    """With so many entries that have been due for as long."""
    due_at = None if due is None else NOW + due
    for number in range(entries):
        at = (due_at or NOW) + number * SECOND
        LaneEntry.objects.create(delivery_id=new_id(), endpoint_id=endpoint.id, due_at=at, trigger="event")
    return Lane.objects.create(endpoint_id=endpoint.id, due_at=due_at, **values)


def event_at(moment: datetime, number: int = 0) -> UUID:
    row_id = UUID(int=first_id(moment).int + number)
    Event.objects.create(id=row_id, merchant_id=row_id, type="a", payload=b"{}", occurred_at=moment, created_at=moment)
    return row_id


def attempt_at(moment: datetime, reason: str = "delivered", number: int = 0) -> None:
    Attempt.objects.create(
        id=UUID(int=first_id(moment).int + number), delivery_id=new_id(), number=1, trigger="event", is_counted=True,
        reason=reason, url="https://x.example/", request_headers="", started_at=moment,
    )  # fmt: skip


class TestQueue:
    def test_an_empty_one(self, db: None) -> None:
        found = queue.read(now=NOW)
        assert (found.due, found.is_exact, found.oldest_due_at, found.in_flight) == (0, True, None, 0)
        assert found.lanes == queue.Lanes(leased=0, expired=0, due=0, broken=0, paced=0, waiting=0)

    def test_what_is_due_now_and_since_when(self, alice: Merchant, make_endpoint: Make) -> None:
        lane(make_endpoint(alice), due=-10 * SECOND, entries=3)
        lane(make_endpoint(alice), due=-1 * SECOND, entries=5)  # Two of them now, the others in the seconds to come.
        lane(make_endpoint(alice), due=HOUR, entries=2)
        lane(make_endpoint(alice), due=None)
        found = queue.read(now=NOW)
        assert (found.due, found.is_exact, found.oldest_due_at) == (5, True, NOW - 10 * SECOND)
        assert (found.lanes.due, found.lanes.waiting) == (2, 1)

    def test_what_a_breaker_holds_back_is_not_due(self, alice: Merchant, make_endpoint: Make) -> None:
        held_back = lane(make_endpoint(alice), due=MINUTE, open_until=NOW + MINUTE, open_s=60, failing_since=NOW - HOUR)
        LaneEntry.objects.create(
            delivery_id=new_id(), endpoint_id=held_back.endpoint_id, due_at=NOW - HOUR, trigger="retry"
        )
        lane(make_endpoint(alice), due=MINUTE, paced_until=NOW + MINUTE)
        found = queue.read(now=NOW)
        assert (found.due, found.oldest_due_at) == (0, None)
        assert (found.lanes.waiting, found.lanes.broken, found.lanes.paced) == (2, 1, 1)

    def test_what_is_in_flight_and_whose_worker_died(self, alice: Merchant, make_endpoint: Make) -> None:
        held: dict[str, Any] = {
            "lease_token": new_id(),
            "leased_until": NOW + 30 * SECOND,
            "in_flight": [new_id(), new_id()],
        }
        busy = lane(make_endpoint(alice), due=30 * SECOND, **held)
        for delivery_id in (*busy.in_flight, new_id()):
            LaneEntry.objects.create(
                delivery_id=delivery_id, endpoint_id=busy.endpoint_id, due_at=NOW - MINUTE, trigger="event"
            )
        gone: dict[str, Any] = {"lease_token": new_id(), "leased_until": NOW - SECOND, "in_flight": [new_id()]}
        lane(make_endpoint(alice), due=-1 * SECOND, **gone)
        found = queue.read(now=NOW)
        assert (found.in_flight, found.due) == (2, 1)
        assert (found.lanes.leased, found.lanes.expired, found.lanes.due) == (1, 1, 0)

    def test_more_than_is_counted_is_a_lower_bound(
        self, alice: Merchant, make_endpoint: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lane(make_endpoint(alice), due=-10 * SECOND, entries=4)
        monkeypatch.setattr(queue, "DUE_MOST", 3)
        found = queue.read(now=NOW)
        assert (found.due, found.is_exact) == (3, False)


class TestFlow:
    def test_nothing(self, db: None) -> None:
        found = queue.flow(now=NOW)
        assert (found.span, found.is_exact, found.events, found.attempts) == (queue.SPANS[0], True, 0, {})

    def test_each_event_and_attempt_is_in_its_minute(self, db: None) -> None:
        for ago in (HOUR + SECOND, 30 * MINUTE, 10 * SECOND, 20 * SECOND):
            event_at(NOW - ago)
        attempt_at(NOW - 30 * MINUTE, "http_server_error")
        attempt_at(NOW - 10 * SECOND)
        attempt_at(NOW - 11 * SECOND)
        attempt_at(NOW + 5 * SECOND, "dns_error")  # Stamped by a host whose clock is ahead.
        found = queue.flow(now=NOW)
        assert len(found.steps) == 60
        assert [(n, step.events, step.attempts) for n, step in enumerate(found.steps) if step.events] == [
            (30, 1, {"http_server_error": 1}),
            (59, 2, {"delivered": 2, "dns_error": 1}),
        ]
        assert list(found.attempts.items()) == [("delivered", 2), ("dns_error", 1), ("http_server_error", 1)]
        lately = found.lately
        assert (lately.events_per_s(), lately.attempts_per_s()) == (2 / 300, 3 / 300)

    @pytest.mark.parametrize(("ago", "span"), [(30 * MINUTE, 1), (10 * MINUTE, 2), (2 * MINUTE, 3), (30 * SECOND, 4)])
    def test_a_flood_shortens_the_span_and_stays_exact(self, ago: timedelta, span: int, db: None) -> None:
        """Of four rows three are read."""
        for number, back in enumerate((ago, ago, 2 * SECOND, SECOND)):
            event_at(NOW - back, number)
        found = queue.flow(now=NOW, most=3)
        assert (found.span, found.is_exact, found.events) == (queue.SPANS[span], True, 2)

    def test_too_much_for_the_shortest_span_is_a_lower_bound(self, db: None) -> None:
        for number in range(4):
            attempt_at(NOW - SECOND, number=number)
        found = queue.flow(now=NOW, most=3)
        assert (found.span, found.is_exact, found.attempts) == (queue.SPANS[-1], False, {"delivered": 3})

    def test_four_statements_that_only_read_the_newest(self, db: None) -> None:
        for number in range(30):
            event_at(NOW - number * SECOND)
        with CaptureQueriesContext(connection) as captured:
            queue.flow(now=NOW)
        assert len(captured) == 4
        assert all("ORDER BY id DESC LIMIT" in query["sql"] for query in captured)


class TestOverall:
    def test_every_hour_with_what_was_not_rolled_up_yet(self, alice: Merchant, make_endpoint: Make) -> None:
        latencies = [0] * CLASSES
        latencies[5] = 6
        for endpoint, hours in ((make_endpoint(alice), 1), (make_endpoint(alice), 1), (make_endpoint(alice), 30)):
            HourlyCount.objects.create(
                hour=datetime(2026, 3, 1, 12, tzinfo=UTC) - hours * HOUR, endpoint_id=endpoint.id, owner_id=alice.id,
                event_type="a", attempts=10, delivered=6, failed=1, latencies=latencies,
            )  # fmt: skip
        CountDelta.objects.create(
            endpoint_ids=[endpoint.id] * 2, owner_ids=[alice.id] * 2, event_types=["a"] * 2,
            started=[NOW - SECOND, NOW - DAY - HOUR], leaves=["failed"] * 2, latencies_ms=[1.0, 1.0],
        )  # fmt: skip
        found = overall.by_hour(now=NOW)
        assert len(found) == 24
        told = {f"{hour:%H}": (one.attempts, one.delivered, one.failed) for hour, one in found.items() if one.attempts}
        assert told == {"11": (20, 12, 2), "12": (1, 0, 1)}
        summed = overall.total(found.values())
        assert (summed.attempts, summed.latencies[5]) == (21, 12)


class TestFailing:
    def test_those_that_take_nothing_most_waiting_first(
        self, alice: Merchant, make_merchant: Make, make_endpoint: Make
    ) -> None:
        bob = make_merchant("bob")
        few, many, fine, off, hers = (make_endpoint(owner) for owner in (alice, alice, alice, alice, bob))
        lane(few, due=HOUR, entries=1, failing_since=NOW - DAY)
        lane(many, due=HOUR, entries=3, failing_since=NOW - HOUR, open_until=NOW + 2 * HOUR, open_s=600)
        lane(fine, due=-1 * SECOND, entries=9)
        lane(off, due=None, failing_since=NOW - DAY)
        Endpoint.objects.filter(id=off.id).update(is_active=False)
        lane(hers, due=-1 * MINUTE, entries=2, failing_since=NOW - HOUR)
        found = failing(now=NOW)
        assert [(one.endpoint_id, one.waiting) for one in found] == [(many.id, 3), (hers.id, 2), (few.id, 1)]
        assert [one.next_try_at for one in found] == [NOW + 2 * HOUR, NOW, NOW + HOUR]
        assert [one.owner_name for one in found] == ["Alice", "Bob", "Alice"]
        assert [one.endpoint_id for one in failing(now=NOW, owner_id=alice.id)] == [many.id, few.id]
        assert [one.endpoint_id for one in failing(now=NOW, limit=1)] == [many.id]
        assert failing(now=NOW, owner_id=make_merchant("charlie").id) == []

    def test_says_how_badly_and_why(self, alice: Merchant, make_endpoint: Make) -> None:
        endpoint = make_endpoint(alice)
        lane(endpoint, due=None, failing_since=NOW - HOUR)
        for hours, event_type in ((1, "a"), (2, "b"), (40, "a")):
            HourlyCount.objects.create(
                hour=datetime(2026, 3, 1, 12, tzinfo=UTC) - hours * HOUR, endpoint_id=endpoint.id, owner_id=alice.id,
                event_type=event_type, attempts=10, delivered=3, failed=1, latencies=[0] * CLASSES,
            )  # fmt: skip
        CountDelta.objects.create(
            endpoint_ids=[endpoint.id, new_id()], owner_ids=[alice.id] * 2, event_types=["a"] * 2,
            started=[NOW - SECOND] * 2, leaves=["pending"] * 2, latencies_ms=[1.0] * 2,
        )  # fmt: skip
        for reason, status, ago in (
            ("connect_refused", None, HOUR),
            ("http_server_error", 500, 3 * HOUR),
            ("http_server_error", 503, HOUR),
            ("dns_error", None, 2 * DAY),
            ("dns_error", None, 2 * DAY),
            ("dns_error", None, 2 * DAY),
            ("delivered", 200, 4 * HOUR),
            ("delivered", 200, 4 * HOUR),
            ("delivered", 200, 4 * HOUR),
        ):
            Delivery.objects.create(
                event_id=new_id(), endpoint_id=endpoint.id, owner_id=alice.id, event_type="a", status="failed",
                last_reason=reason, last_status=status, last_attempt_at=NOW - ago, attempts_made=1,
                finished_at=NOW, created_at=NOW - ago,
            )  # fmt: skip
        (one,) = failing(now=NOW)
        assert (one.attempts, one.failed) == (21, 15)
        assert (one.reason, one.status) == ("http_server_error", 503)
        assert (one.waiting, one.is_waiting_exact, one.next_try_at) == (0, True, None)

    def test_a_long_lane_is_counted_so_far_only(
        self, alice: Merchant, make_endpoint: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("deliveries.selectors.failing.WAITING_MOST", 2)
        lane(make_endpoint(alice), due=HOUR, entries=3, failing_since=NOW)
        (one,) = failing(now=NOW)
        assert (one.waiting, one.is_waiting_exact) == (2, False)

    def test_when_it_is_switched_off(self, alice: Merchant, make_endpoint: Make, settings: Any) -> None:
        settings.DISABLE_AFTER_DAYS = 4
        lane(make_endpoint(alice), due=None, failing_since=NOW - DAY)
        assert failing(now=NOW)[0].disables_at == NOW + 3 * DAY
        settings.DISABLE_AFTER_DAYS = 0
        assert failing(now=NOW)[0].disables_at is None

    @pytest.mark.parametrize(
        ("since", "warned", "ends"),
        [
            # Four days, of which one lies between the warning and the end at least.
            (None, None, None),
            (NOW - 2 * DAY, NOW, NOW + 2 * DAY),
            (NOW - 9 * DAY, None, NOW + DAY),
            (NOW - 9 * DAY, NOW - 8 * DAY, NOW - 5 * DAY),
            (NOW - 4 * DAY, NOW - HOUR, NOW + 23 * HOUR),
        ],
    )
    def test_it_is_as_the_streak_is_judged(
        self, since: datetime | None, warned: datetime | None, ends: datetime | None
    ) -> None:
        assert disables_at(failing_since=since, warned_at=warned, limit=4 * DAY, now=NOW) == ends

    def test_one_statement_however_many(self, alice: Merchant, make_endpoint: Make) -> None:
        for _ in range(5):
            lane(make_endpoint(alice), due=HOUR, entries=2, failing_since=NOW)
        with CaptureQueriesContext(connection) as captured:
            found: list[Failing] = failing(now=NOW)
        assert (len(found), len(captured)) == (5, 1)
