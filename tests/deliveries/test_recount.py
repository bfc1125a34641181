"""`recount`: says where the statistics differ from the attempts, puts that right, and holds within retention."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.utils import timezone

from deliveries.id_ranges import delivery_id
from deliveries.models import Attempt, CountDelta, Delivery, Event, HourlyCount
from deliveries.selectors.statistics import hour_of
from deliveries.services import recount, retention
from deliveries.services.statistics import roll_up
from subscriptions.advisory_locks import AdvisoryLock
from subscriptions.models import Endpoint
from tests.deliveries.counting import check, kept, recounted
from tests.ids import id_at

pytestmark = pytest.mark.django_db(transaction=True)

Make = Callable[..., Any]

NOW = timezone.now()
HOUR = hour_of(NOW) - timedelta(hours=3)


@pytest.fixture
def endpoint(make_merchant: Make, make_endpoint: Make) -> Endpoint:
    made: Endpoint = make_endpoint(make_merchant("alice"))
    return made


@pytest.fixture
def attempt(endpoint: Endpoint) -> Make:
    """An attempt of a delivery of its own, counted as RECORD does."""

    def make(
        leaves: str | None = "delivered",
        *,
        at: datetime = HOUR,
        to: Endpoint = endpoint,
        took_ms: float = 20,
        trigger: str = "event",
        is_counted: bool = True,
    ) -> Attempt:
        event = Event.objects.create(
            id=id_at(at),
            merchant_id=to.owner_id,
            type="invoice.paid",
            payload=b"{}",
            occurred_at=at,
            created_at=at,
        )
        status = leaves or "delivered"
        delivery = Delivery.objects.create(
            id=delivery_id(event.id, place=1),
            event_id=event.id,
            endpoint_id=to.id,
            owner_id=to.owner_id,
            event_type=event.type,
            status=status,
            attempts_made=1,
            next_attempt_at=at if status == "pending" else None,
            finished_at=at if status in {"delivered", "failed"} else None,
            last_attempt_at=at,
            created_at=at,
        )
        if is_counted:
            CountDelta.objects.create(
                endpoint_ids=[to.id],
                owner_ids=[to.owner_id],
                event_types=[event.type],
                started=[at],
                leaves=[status],
                latencies_ms=[took_ms],
            )
        return Attempt.objects.create(
            delivery_id=delivery.id,
            number=1,
            trigger=trigger,
            is_counted=True,
            reason="delivered",
            leaves=leaves,
            url="https://receiver.example/",
            request_headers="",
            total_ms=took_ms,
            started_at=at,
        )

    return make


def compare(since: datetime = HOUR) -> int:
    return recount.compare(since=since, told=lambda _: None)


class TestCompare:
    def test_says_nothing_where_they_are_equal(self, attempt: Make) -> None:
        for leaves in ("delivered", "failed", "pending", "held"):
            attempt(leaves)
        roll_up()
        attempt(at=HOUR + timedelta(hours=1))
        assert compare() == 0
        assert recount.differences() == []
        check(attempts=5, delivered=2, failed=1)

    def test_leaves_out_tests_and_what_is_older_than_the_statistics(self, attempt: Make) -> None:
        attempt(trigger="test", is_counted=False)
        attempt(None, is_counted=False)
        assert compare() == 0

    def test_tells_what_each_side_has(self, attempt: Make, endpoint: Endpoint) -> None:
        attempt(took_ms=1200)
        attempt("failed", is_counted=False)
        assert compare() == 1
        [difference] = recount.differences()
        assert (difference.hour, difference.endpoint_id, difference.event_type) == (HOUR, endpoint.id, "invoice.paid")
        assert (difference.kept.attempts, difference.kept.delivered, difference.kept.failed) == (1, 1, 0)
        assert (difference.found.attempts, difference.found.delivered, difference.found.failed) == (2, 1, 1)
        assert difference.kept.latencies == difference.found.latencies == [*[0] * 19, 1, *[0] * 6]

    def test_sees_one_latency_in_another_class(self, attempt: Make) -> None:
        row = attempt(took_ms=20)
        Attempt.objects.filter(id=row.id).update(total_ms=2000)
        assert compare() == 1

    def test_sees_what_has_only_one_side(self, attempt: Make, make_endpoint: Make, endpoint: Endpoint) -> None:
        attempt(is_counted=False)
        attempt(to=make_endpoint(endpoint.owner))
        Attempt.objects.exclude(delivery_id__in=Delivery.objects.filter(endpoint_id=endpoint.id).values("id")).delete()
        assert compare() == 2
        sides = {(difference.kept.attempts, difference.found.attempts) for difference in recount.differences()}
        assert sides == {(0, 1), (1, 0)}

    def test_looks_at_no_hour_before(self, attempt: Make) -> None:
        attempt(at=HOUR - timedelta(microseconds=1), is_counted=False)
        assert compare() == 0
        assert compare(HOUR - timedelta(hours=1)) == 1

    def test_reads_every_attempt_once_and_tells_how_far_it_is(
        self, attempt: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(recount, "ATTEMPTS_A_STEP", 2)
        for _ in range(5):
            attempt()
        told: list[int] = []
        assert recount.compare(since=HOUR, told=told.append) == 0
        assert told == [2, 4]

    def test_sees_one_moment(self, attempt: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        """A roll-up and a drain that work while it reads are on neither side."""
        monkeypatch.setattr(recount, "ATTEMPTS_A_STEP", 1)
        for _ in range(3):
            attempt()

        def work() -> None:
            # From a host whose clock is behind: its id comes before what was read already.
            Attempt.objects.filter(id=attempt("failed").id).update(id=id_at(HOUR))
            roll_up()
            connection.close()

        def meanwhile(read: int) -> None:
            if read <= 3:
                thread = threading.Thread(target=work)
                thread.start()
                thread.join()

        assert recount.compare(since=HOUR, told=meanwhile) == 0
        check(attempts=6, delivered=3, failed=3)

    def test_finds_an_attempt_whose_host_had_another_clock(self, attempt: Make) -> None:
        row = attempt(is_counted=False)
        fields = Attempt.objects.filter(id=row.id).values().get()
        for days in (-0.9, 30):
            at = HOUR + timedelta(days=days)
            Attempt.objects.all().delete()
            Attempt.objects.create(**fields | {"id": id_at(at)})
            assert compare() == 1


class TestRepair:
    def repair(self) -> None:
        recount.repair(count=compare())

    def test_makes_them_equal(self, attempt: Make, make_endpoint: Make, endpoint: Endpoint) -> None:
        other = make_endpoint(endpoint.owner)
        attempt(is_counted=False, took_ms=3)
        attempt(to=other)
        roll_up()
        attempt(to=other, at=HOUR + timedelta(hours=1))
        attempt("failed", is_counted=False, to=other)
        HourlyCount.objects.update(attempts=7, failed=2)
        self.repair()
        check(attempts=4, delivered=3, failed=1)
        assert compare() == 0

    def test_of_many_step_by_step(self, attempt: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(recount, "REPAIRS_A_STEP", 2)
        for number in range(5):
            attempt(at=HOUR + timedelta(hours=number), is_counted=False)
        self.repair()
        check(attempts=5, delivered=5, failed=0)

    def test_takes_away_what_was_never_tried(self, attempt: Make) -> None:
        """Also where it waits to be rolled up: no count may fall below zero."""
        attempt()
        roll_up()
        attempt(at=HOUR + timedelta(hours=1))
        Attempt.objects.all().delete()
        self.repair()
        assert not HourlyCount.objects.exists()
        assert not CountDelta.objects.exists()

    def test_loses_nothing_of_what_was_counted_since(self, attempt: Make) -> None:
        attempt(is_counted=False)
        attempt()
        roll_up()
        count = compare()
        attempt("failed")
        roll_up()
        attempt()
        recount.repair(count=count)
        check(attempts=4, delivered=3, failed=1)

    def test_only_one_at_a_time(self) -> None:
        with psycopg.connect(**connection.get_connection_params() | {"cursor_factory": psycopg.Cursor}) as other:
            other.execute("SELECT pg_advisory_lock(%s)", [AdvisoryLock.RECOUNT])
            with pytest.raises(CommandError, match="Another recount is under way"):
                call_command("recount")
            other.execute("SELECT pg_advisory_unlock(%s)", [AdvisoryLock.RECOUNT])
        for _ in range(2):
            call_command("recount")


class TestRetention:
    MIDNIGHT = HOUR.replace(hour=0)
    BEFORE = MIDNIGHT + timedelta(minutes=30)

    def purge(self) -> retention.Deleted:
        return sum(retention.purge(before=self.BEFORE, now=NOW), retention.Deleted())

    def test_counts_go_when_their_hour_is_over(self, attempt: Make) -> None:
        for hours in (-2, -1, 0, 1):
            attempt(at=self.MIDNIGHT + timedelta(hours=hours))
        roll_up()
        # Events go when their day is over.
        assert self.purge() == retention.Deleted(events=2, deliveries=2, attempts=2, counts=2)
        assert list(HourlyCount.objects.order_by("hour").values_list("hour", flat=True)) == [
            self.MIDNIGHT,
            self.MIDNIGHT + timedelta(hours=1),
        ]
        # The hour that is in retention only in part keeps its count.
        since = recount.first_hour(kept_since=self.BEFORE, asked=None)
        assert since == self.MIDNIGHT + timedelta(hours=1)
        assert compare(since) == 0
        assert sum(values[0] for values in recounted().values()) == 2

    def test_of_events_that_stay_for_a_later_attempt(self, attempt: Make) -> None:
        """Nothing of an event goes while one of its deliveries was tried since: later hours still have it all."""
        row = attempt("failed", at=self.BEFORE - timedelta(hours=2))
        late = attempt(at=self.BEFORE + timedelta(hours=1))
        Attempt.objects.filter(id=late.id).update(delivery_id=row.delivery_id, number=2)
        Delivery.objects.filter(id=late.delivery_id).delete()
        Delivery.objects.filter(id=row.delivery_id).update(last_attempt_at=late.started_at)
        roll_up()
        self.purge()
        assert Attempt.objects.count() == 2
        assert compare(self.MIDNIGHT + timedelta(hours=1)) == 0

    def test_step_by_step(self, attempt: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(retention, "COUNTS_A_STEP", 2)
        for hours in range(1, 6):
            attempt(at=self.MIDNIGHT - timedelta(hours=hours))
        roll_up()
        steps = [step.counts for step in retention.purge(before=self.BEFORE, now=NOW) if step.counts]
        assert steps == [2, 2, 1]

    @pytest.mark.parametrize(
        ("asked", "first"),
        [
            (None, "2026-03-01T11:00"),
            ("2026-02-01T10:10", "2026-03-01T11:00"),
            ("2026-03-01T10:10", "2026-03-01T11:00"),
            ("2026-03-01T11:10", "2026-03-01T11:00"),
            ("2026-03-02T11:10", "2026-03-02T11:00"),
        ],
    )
    def test_a_recount_begins_within(self, asked: str | None, first: str) -> None:
        kept_since = datetime(2026, 3, 1, 10, 10, tzinfo=UTC)
        moment = asked and datetime.fromisoformat(asked).replace(tzinfo=UTC)
        found = recount.first_hour(kept_since=kept_since, asked=moment or None)
        assert found == datetime.fromisoformat(first).replace(tzinfo=UTC)


class TestCommand:
    def test_where_all_is_well(self, attempt: Make, capsys: pytest.CaptureFixture[str]) -> None:
        attempt()
        call_command("recount", "--since", HOUR.isoformat())
        assert capsys.readouterr().out == f"since {HOUR:%Y-%m-%dT%H:%M:%SZ}: 0 hourly counts differ\n"

    def test_prints_what_differs_and_fails(
        self, attempt: Make, endpoint: Endpoint, capsys: pytest.CaptureFixture[str]
    ) -> None:
        attempt(is_counted=False)
        with pytest.raises(CommandError, match="1 hourly counts differ"):
            call_command("recount")
        assert capsys.readouterr().out.splitlines()[0] == (
            f"{HOUR:%Y-%m-%dT%H:%M:%SZ} {endpoint.public_id} invoice.paid: "
            "kept 0 attempts (0 delivered, 0 failed), found 1 attempts (1 delivered, 0 failed)"
        )
        assert kept() == {}

    def test_repairs(self, attempt: Make, capsys: pytest.CaptureFixture[str]) -> None:
        attempt(is_counted=False)
        call_command("recount", "--repair", "--yes")
        assert capsys.readouterr().out.splitlines()[-1] == "1 hourly counts repaired"
        check(attempts=1, delivered=1, failed=0)

    def test_asks_before_it_repairs(self, attempt: Make) -> None:
        attempt(is_counted=False)
        with pytest.raises(CommandError, match="say --yes"):
            call_command("recount", "--repair")
        assert kept() == {}

    def test_as_json(self, attempt: Make, endpoint: Endpoint, capsys: pytest.CaptureFixture[str]) -> None:
        attempt(is_counted=False)
        call_command("recount", "--json", "--repair", "--yes", "--since", HOUR.isoformat())
        shown = json.loads(capsys.readouterr().out)
        [difference] = shown.pop("differences")
        assert shown == {"since": f"{HOUR:%Y-%m-%dT%H:%M:%SZ}", "repaired": True}
        assert (difference["endpoint"], difference["kept"]["attempts"], difference["found"]["attempts"]) == (
            endpoint.public_id,
            0,
            1,
        )

    def test_what_is_no_time(self) -> None:
        with pytest.raises(CommandError, match="a time such as"):
            call_command("recount", "--since", "yesterday")
