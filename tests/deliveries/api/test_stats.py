"""GET /webhooks/stats and /webhooks/endpoints/{id}/stats: exact at any moment, of one's own, at a fixed price."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from deliveries.models import CountDelta, Delivery, HourlyCount, LaneEntry
from deliveries.selectors import statistics
from deliveries.services.statistics import roll_up
from dispatcher.ids import new_id
from dispatcher.latencies import count_in_classes
from subscriptions.models import Endpoint, Merchant
from tests.deliveries.api.conftest import Caller, Make, World, code_of, errors_of
from tests.statements import counting_statements

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
STATS = "/api/v2/webhooks/stats"

Count = Callable[..., HourlyCount]


def url(endpoint: Endpoint) -> str:
    return f"/api/v2/webhooks/endpoints/{endpoint.public_id}/stats"


def window(since: datetime = NOON, until: datetime = NOON + HOUR, **more: str) -> dict[str, str]:
    return {"since": since.isoformat(), "until": until.isoformat()} | more


def add_hour(
    endpoint: Endpoint,
    hour: datetime = NOON,
    event_type: str = "invoice.paid",
    *,
    latencies_ms: list[float] | None = None,
    failed: int = 0,
    pending: int = 0,
) -> None:
    """An hour whose attempts delivered after these times, failed for good or left their deliveries pending."""
    delivered = latencies_ms or []
    HourlyCount.objects.create(
        hour=hour,
        endpoint_id=endpoint.id,
        owner_id=endpoint.owner_id,
        event_type=event_type,
        attempts=len(delivered) + failed + pending,
        delivered=len(delivered),
        failed=failed,
        latencies=count_in_classes(delivered),
    )


def add_delta(*attempts: tuple[Endpoint, datetime, str, str, float]) -> None:
    endpoints, started, event_types, leaves, latencies_ms = (list(column) for column in zip(*attempts, strict=True))
    CountDelta.objects.create(
        endpoint_ids=[endpoint.id for endpoint in endpoints],
        owner_ids=[endpoint.owner_id for endpoint in endpoints],
        event_types=event_types,
        started=started,
        leaves=leaves,
        latencies_ms=latencies_ms,
    )


def numbers(figures: dict[str, Any]) -> tuple[int, int, int]:
    return figures["attempts"], figures["delivered"], figures["failed"]


class TestAnswer:
    def test_the_whole_of_it(self, alice: Caller, endpoint: Endpoint) -> None:
        add_hour(endpoint, latencies_ms=[12, 12, 12], failed=1, pending=6)
        response = alice.get(url(endpoint), window())
        assert (response.status_code, response.headers["Content-Type"]) == (200, "application/json")
        figures = {
            "attempts": 10,
            "delivered": 3,
            "failed": 1,
            "success_ratio": 0.75,
            "latency_ms": {"p50": 12.2, "p95": 14.0, "p99": 14.0},
        }
        waiting = {"pending": 0, "is_pending_exact": True, "held": 0, "is_held_exact": True}
        assert response.json() == {
            "since": "2026-03-01T12:00:00Z",
            "until": "2026-03-01T13:00:00Z",
            "bucket": "hour",
            "endpoint_id": endpoint.public_id,
            "event_type": None,
            "totals": figures | waiting,
            "series": [{"start": "2026-03-01T12:00:00Z"} | figures],
            "event_types": [{"event_type": "invoice.paid"} | figures],
        }

    def test_where_nothing_happened(self, alice: Caller, endpoint: Endpoint) -> None:
        shown = alice.get(STATS, window()).json()
        nothing = {
            "attempts": 0,
            "delivered": 0,
            "failed": 0,
            "success_ratio": None,
            "latency_ms": {"p50": None, "p95": None, "p99": None},
        }
        assert shown["endpoint_id"] is None
        assert shown["series"] == [{"start": "2026-03-01T12:00:00Z"} | nothing]
        assert shown["event_types"] == []
        assert {name: shown["totals"][name] for name in nothing} == nothing

    def test_retries_alone_have_no_ratio(self, alice: Caller, endpoint: Endpoint) -> None:
        add_hour(endpoint, pending=4)
        totals = alice.get(STATS, window()).json()["totals"]
        assert (totals["attempts"], totals["success_ratio"], totals["latency_ms"]["p50"]) == (4, None, None)

    def test_what_was_not_rolled_up_yet_is_in(self, alice: Caller, endpoint: Endpoint, make_endpoint: Make) -> None:
        other = make_endpoint(endpoint.owner)
        add_hour(endpoint, latencies_ms=[12])
        add_delta(
            (endpoint, NOON, "invoice.paid", "delivered", 12),
            (endpoint, NOON + timedelta(minutes=59, seconds=59.999999), "invoice.sent", "failed", 12),
            (endpoint, NOON + HOUR, "invoice.paid", "delivered", 12),
            (endpoint, NOON - timedelta(microseconds=1), "invoice.paid", "delivered", 12),
            (other, NOON, "invoice.paid", "pending", 12),
        )
        add_delta((other, NOON, "invoice.paid", "delivered", 5000))
        before = [alice.get(path, window()).json() for path in (STATS, url(endpoint), url(other))]
        assert [numbers(shown["totals"]) for shown in before] == [(5, 3, 1), (3, 2, 1), (2, 1, 0)]
        roll_up()
        assert [alice.get(path, window()).json() for path in (STATS, url(endpoint), url(other))] == before

    def test_by_type_and_of_one_type(self, alice: Caller, endpoint: Endpoint) -> None:
        add_hour(endpoint, latencies_ms=[1], event_type="invoice.sent")
        add_hour(endpoint, latencies_ms=[1, 1], failed=1)
        add_delta((endpoint, NOON, "invoice.paid", "delivered", 1), (endpoint, NOON, "invoice.sent", "failed", 1))
        shown = alice.get(STATS, window()).json()
        by_type = [(row["event_type"], *numbers(row)) for row in shown["event_types"]]
        assert by_type == [("invoice.paid", 4, 3, 1), ("invoice.sent", 2, 1, 1)]
        assert numbers(shown["totals"]) == (6, 4, 2)
        shown = alice.get(url(endpoint), window(event_type="invoice.sent")).json()
        assert shown["event_type"] == "invoice.sent"
        assert [row["event_type"] for row in shown["event_types"]] == ["invoice.sent"]
        assert numbers(shown["totals"]) == numbers(shown["series"][0]) == (2, 1, 1)
        assert alice.get(STATS, window(event_type="no.such")).json()["event_types"] == []

    def test_a_deleted_endpoint_still_has_its_statistics(self, alice: Caller, endpoint: Endpoint) -> None:
        add_hour(endpoint, latencies_ms=[1])
        Endpoint.objects.update(is_active=False, deleted_at=NOON)
        assert numbers(alice.get(url(endpoint), window()).json()["totals"]) == (1, 1, 0)
        assert numbers(alice.get(STATS, window()).json()["totals"]) == (1, 1, 0)


class TestWindow:
    def test_is_widened_to_whole_hours(self, alice: Caller, endpoint: Endpoint) -> None:
        for hour in (NOON - HOUR, NOON, NOON + HOUR, NOON + 2 * HOUR):
            add_hour(endpoint, hour, latencies_ms=[1])
        shown = alice.get(STATS, window(NOON + timedelta(minutes=59), NOON + timedelta(minutes=61))).json()
        assert (shown["since"], shown["until"]) == ("2026-03-01T12:00:00Z", "2026-03-01T14:00:00Z")
        assert [row["start"] for row in shown["series"]] == ["2026-03-01T12:00:00Z", "2026-03-01T13:00:00Z"]
        assert numbers(shown["totals"]) == (2, 2, 0)

    def test_of_another_zone(self, alice: Caller, endpoint: Endpoint) -> None:
        add_hour(endpoint, latencies_ms=[1])
        shown = alice.get(STATS, {"since": "2026-03-01T17:30:00+05:30", "until": "2026-03-01T18:30:00+05:30"}).json()
        assert (shown["since"], numbers(shown["totals"])) == ("2026-03-01T12:00:00Z", (1, 1, 0))

    def test_is_the_last_day_unless_asked_otherwise(self, alice: Caller, endpoint: Endpoint) -> None:
        hour = statistics.hour_of(timezone.now())
        add_hour(endpoint, hour, latencies_ms=[1])
        add_hour(endpoint, hour - timedelta(hours=24), failed=1)
        add_hour(endpoint, hour - timedelta(hours=26), failed=1)
        shown = alice.get(STATS).json()
        assert len(shown["series"]) == 25
        assert numbers(shown["totals"]) == (2, 1, 1)
        assert numbers(shown["series"][-1]) == (1, 1, 0)

    def test_every_bucket_is_there(self, alice: Caller, endpoint: Endpoint) -> None:
        add_hour(endpoint, NOON, latencies_ms=[1])
        add_hour(endpoint, NOON + 3 * HOUR, latencies_ms=[1, 1])
        shown = alice.get(STATS, window(until=NOON + 5 * HOUR)).json()
        assert [numbers(row)[0] for row in shown["series"]] == [1, 0, 0, 2, 0]

    def test_days_are_of_utc_and_the_first_and_last_as_long_as_asked_for(
        self, alice: Caller, endpoint: Endpoint
    ) -> None:
        midnight = NOON + timedelta(hours=12)
        hours = [NOON - HOUR, NOON, midnight - HOUR, midnight, midnight + timedelta(hours=37), midnight + 38 * HOUR]
        for hour in hours:
            add_hour(endpoint, hour, latencies_ms=[1])
        shown = alice.get(STATS, window(until=midnight + 38 * HOUR, bucket="day")).json()
        assert [(row["start"], row["attempts"]) for row in shown["series"]] == [
            ("2026-03-01T12:00:00Z", 2),
            ("2026-03-02T00:00:00Z", 1),
            ("2026-03-03T00:00:00Z", 1),
        ]
        assert shown["totals"]["attempts"] == 4

    @pytest.mark.parametrize(("bucket", "days"), [("hour", 31), ("day", 366)])
    def test_has_a_longest_span(self, bucket: str, days: int, alice: Caller, endpoint: Endpoint) -> None:
        longest = window(NOON + timedelta(minutes=30), NOON + timedelta(days=days, minutes=30), bucket=bucket)
        assert alice.get(STATS, longest).status_code == 200
        longer = window(NOON, NOON + timedelta(days=days, hours=3), bucket=bucket)
        assert errors_of(alice.get(STATS, longer)) == [("/since", "out_of_range")]

    @pytest.mark.parametrize(
        ("query", "errors"),
        [
            ({"since": "yesterday", "bucket": "week"}, [("/since", "invalid_time"), ("/bucket", "unknown_choice")]),
            ({"event_type": "in voice"}, [("/event_type", "invalid_event_type")]),
            ({"since": "2026-03-01T13:00:00Z", "until": "2026-03-01T13:00:00Z"}, [("/until", "out_of_range")]),
            ({"since": "2026-03-01T15:00:00Z", "until": "2026-03-01T13:00:00Z"}, [("/until", "out_of_range")]),
            ({"since": "2200-03-01T15:00:00Z"}, [("/until", "out_of_range")]),
            ({"since": "9999-12-31T22:30:00Z", "until": "9999-12-31T23:30:00Z"}, [("/until", "out_of_range")]),
            ({"until": "0001-01-01T00:30:00Z"}, [("/until", "out_of_range")]),
        ],
    )
    def test_that_cannot_be(
        self, query: dict[str, str], errors: list[tuple[str, str]], alice: Caller, endpoint: Endpoint
    ) -> None:
        assert errors_of(alice.get(STATS, query)) == errors
        assert errors_of(alice.get(url(endpoint), query)) == errors


class TestWaiting:
    @pytest.fixture
    def owe(self) -> Callable[..., None]:
        def make(endpoint: Endpoint, status: str, count: int, event_type: str = "invoice.paid") -> None:
            for _ in range(count):
                delivery = Delivery.objects.create(
                    event_id=new_id(),
                    endpoint_id=endpoint.id,
                    owner_id=endpoint.owner_id,
                    event_type=event_type,
                    status=status,
                    attempts_made=int(status == "delivered"),
                    next_attempt_at=NOON if status == "pending" else None,
                    finished_at=NOON if status == "delivered" else None,
                    created_at=NOON,
                )
                if status == "pending":
                    LaneEntry.objects.create(
                        delivery_id=delivery.id, endpoint_id=endpoint.id, due_at=NOON, trigger="event"
                    )

        return make

    def waiting(self, caller: Caller, path: str, **query: str) -> tuple[Any, ...]:
        totals = caller.get(path, query).json()["totals"]
        return tuple(totals[name] for name in ("pending", "is_pending_exact", "held", "is_held_exact"))

    def test_is_what_is_so_now(self, owe: Make, alice: Caller, endpoint: Endpoint, make_endpoint: Make) -> None:
        other, bobs = make_endpoint(endpoint.owner), make_endpoint(Merchant.objects.get(reference="bob"))
        for row, pending, held in ((endpoint, 2, 1), (other, 1, 2), (bobs, 5, 5)):
            owe(row, "pending", pending)
            owe(row, "held", held, "invoice.sent")
            owe(row, "delivered", 1)
        assert self.waiting(alice, url(endpoint)) == (2, True, 1, True)
        assert self.waiting(alice, url(other)) == (1, True, 2, True)
        assert self.waiting(alice, STATS) == (3, True, 3, True)
        assert self.waiting(alice, STATS, event_type="invoice.sent") == (0, True, 3, True)
        assert self.waiting(alice, url(endpoint), event_type="invoice.paid") == (2, True, 0, True)
        # What waits for a deleted endpoint will be cancelled.
        Endpoint.objects.filter(id=other.id).update(is_active=False, deleted_at=NOON)
        assert self.waiting(alice, STATS)[0] == 2

    def test_is_a_lower_bound_where_there_is_too_much_to_look_at(
        self, owe: Make, alice: Caller, endpoint: Endpoint, make_endpoint: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        owe(endpoint, "held", 2)
        owe(endpoint, "delivered", 1)
        owe(endpoint, "held", 1)
        owe(make_endpoint(endpoint.owner), "pending", 4)
        monkeypatch.setattr(statistics, "LOOKED_AT", 9)
        assert self.waiting(alice, STATS) == (4, True, 3, True)
        # Of the newest three, two are pending and one held; of four entries three are looked at.
        monkeypatch.setattr(statistics, "LOOKED_AT", 3)
        assert self.waiting(alice, STATS) == (3, False, 0, False)
        assert self.waiting(alice, url(endpoint)) == (0, True, 2, False)


class TestWhose:
    @pytest.fixture(autouse=True)
    def counted(self, endpoint: Endpoint) -> None:
        add_hour(endpoint, latencies_ms=[1])
        add_delta((endpoint, NOON, "invoice.paid", "failed", 1))

    def test_a_stranger_finds_nothing(self, charlie: Caller, endpoint: Endpoint) -> None:
        assert code_of(charlie.get(url(endpoint), window())) == (404, "not_found")
        assert numbers(charlie.get(STATS, window()).json()["totals"]) == (0, 0, 0)
        for path in (STATS, url(endpoint)):
            assert code_of(charlie.get(path, window(merchant="alice"))) == (404, "not_found")

    def test_what_is_no_endpoint(self, alice: Caller, world: World) -> None:
        for named in ("ep_00000000000000000000000000", "ep_", "x", "mer_00000000000000000000000000"):
            path = f"/api/v2/webhooks/endpoints/{named}/stats"
            assert code_of(alice.get(path)) == (404, "not_found")

    def test_the_provider_names_the_merchant(self, provider: Caller, endpoint: Endpoint) -> None:
        for path in (STATS, url(endpoint)):
            shown = provider.get(path, window(merchant="alice")).json()
            assert numbers(shown["totals"]) == (2, 1, 1)
            assert code_of(provider.get(path, window()))[0] == 422
        assert numbers(provider.get(STATS, window(merchant="bob")).json()["totals"]) == (0, 0, 0)
        assert code_of(provider.get(url(endpoint), window(merchant="bob"))) == (404, "not_found")

    def test_a_portfolio_sees_what_its_own_endpoints_got(
        self, world: World, caller_of: Callable[[Merchant], Caller], endpoint: Endpoint
    ) -> None:
        portfolio = caller_of(world.portfolio)
        assert numbers(portfolio.get(STATS, window()).json()["totals"]) == (0, 0, 0)
        assert code_of(portfolio.get(url(endpoint), window())) == (404, "not_found")

    def test_nobody_changes_them(self, alice: Caller, endpoint: Endpoint) -> None:
        for path in (STATS, url(endpoint)):
            assert code_of(alice.post(path, {})) == (405, "method_not_allowed")
        assert code_of(Caller("", alice.client).get(STATS))[0] == 401


def test_three_statements_however_many_endpoints(
    world: World, alice: Caller, endpoint: Endpoint, make_endpoint: Make
) -> None:
    counts = []
    for _ in range(2):
        with counting_statements() as statements:
            assert alice.get(STATS, window(until=NOON + timedelta(days=3))).status_code == 200
        counts.append(len(statements))
        for number in range(19):
            row = make_endpoint(world.alice)
            add_hour(row, latencies_ms=[1])
            add_hour(row, NOON + HOUR, f"type.{number}", failed=1)
            add_delta((row, NOON, "invoice.paid", "failed", 1))
    # The key, what was counted, what waits.
    assert counts == [3, 3]
    with counting_statements() as statements:
        alice.get(url(endpoint), window())
    assert len(statements) == 4
    assert not any("deliveries_attempt" in statement for statement in statements)
