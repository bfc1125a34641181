"""Days are made ahead, and publishing never depends on it."""

import logging
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from threading import Event as Flag
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from deliveries import tasks
from deliveries.id_ranges import delivery_id, first_of
from deliveries.models import Attempt, Delivery, Event
from deliveries.selectors.partitions import covered, partitions
from deliveries.services import NewEvent, publish, publish_batch, trial
from deliveries.services import partitions as partitioning
from subscriptions.models import Endpoint
from tests.deliveries.partitions.conftest import DAY, Make, home_of, named, noon, recut
from tests.ids import id_at

pytestmark = pytest.mark.usefixtures("days_restored")


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deliveries.doorbell.Doorbell.ring", lambda self: True)


def days() -> list[tuple[str, date | None, date | None]]:
    return [(one.name, one.first, one.end) for one in partitions()]


class TestAhead:
    def test_a_week_is_there_after_a_migration(self, today: date) -> None:
        ahead = [today + count * DAY for count in range(9)]
        assert days() == [
            ("early", None, today),
            *((named(day), day, day + DAY) for day in ahead),
            ("late", today + 9 * DAY, None),
        ]

    def test_every_day_one_more(self, today: date) -> None:
        tomorrow = timezone.now() + DAY
        assert partitioning.make_ahead(now=tomorrow) == [today + 9 * DAY]
        assert partitioning.make_ahead(now=tomorrow) == []
        assert covered(partitions()) == (today, today + 10 * DAY)

    def test_the_sweep_makes_them_once_a_day(self, today: date, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(partitioning, "_kept", {})
        recut(today)
        tasks.sweep()
        assert len(partitions()) == 11
        recut(today)
        tasks.sweep()
        assert len(partitions()) == 2

    def test_a_sweep_goes_on_where_the_ledger_is_in_use(
        self, today: date, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(partitioning, "_kept", {})
        monkeypatch.setattr(partitioning, "TRIES", 2)
        monkeypatch.setattr(partitioning, "PAUSE_S", 0)
        recut(today)
        with held("LOCK TABLE deliveries_event IN ROW EXCLUSIVE MODE"):
            tasks.sweep()
            assert "the ledger is in use" in caplog.text
            assert len(partitions()) == 2
        tasks.sweep()
        assert len(partitions()) == 11

    def test_every_partition_guards_what_the_whole_cannot(self) -> None:
        """Unique indexes without the partition key, room for heap-only updates: none of it is inherited."""
        with connection.cursor() as cursor:
            cursor.execute("""
                SELECT p.relname, p.reloptions, array_agg(pg_get_indexdef(i.indexrelid) ORDER BY 1)
                FROM pg_class p JOIN pg_index i ON i.indrelid = p.oid AND i.indisunique
                WHERE p.relispartition AND p.relkind = 'r' GROUP BY 1, 2
            """)
            found = {name: (options, " ".join(indexes)) for name, options, indexes in cursor.fetchall()}
        assert len(found) == 33
        for name, (options, unique) in found.items():
            if name.startswith("deliveries_delivery_"):
                assert options == ["fillfactor=50"]
                assert "(event_id, endpoint_id)" in unique
            if name.startswith("deliveries_attempt_"):
                assert "(id)" in unique
                assert "(delivery_id, number)" in unique

    def test_the_command_lists_and_makes(self, today: date, capsys: pytest.CaptureFixture[str]) -> None:
        recut(today)
        call_command("partitions", "make")
        call_command("partitions", "make")
        call_command("partitions")
        made, again, head, *lines, total = capsys.readouterr().out.splitlines()
        assert made.startswith(f"made: {today}, {today + DAY}, ")
        assert again == "nothing to make: the next days have partitions"
        assert head.split() == ["partition", "days", "(UTC)", "event", "delivery", "attempt"]
        assert [line.split()[0] for line in lines] == [name for name, *_ in days()]
        assert total.startswith("11 partitions, ")


class TestWhereRowsLie:
    @pytest.mark.parametrize(
        ("clock", "days_ago"),
        [("23:59:59.999+00:00", 2), ("00:00:00+00:00", 2), ("01:59:59.999+02:00", 3), ("23:00:00-02:00", 1)],
    )
    def test_the_day_is_that_of_utc(self, clock: str, days_ago: int, owe: Make, today: date) -> None:
        partitioning.make_before(today - 3 * DAY)
        row = owe(datetime.fromisoformat(f"{today - 2 * DAY}T{clock}"))
        assert home_of(Event, row.event_id) == home_of(Delivery, row.id) == named(today - days_ago * DAY)
        assert home_of(Attempt, Attempt.objects.get().id) == named(today - days_ago * DAY)

    def test_an_attempt_lies_with_its_delivery_however_late_it_is(self, owe: Make, today: date) -> None:
        row = owe(noon(today), tried_at=noon(today) + 3 * DAY)
        assert home_of(Attempt, Attempt.objects.get().id) == home_of(Delivery, row.id) == named(today)

    def test_one_and_many_are_published_into_their_event_s_day(self, endpoint: Endpoint, today: date) -> None:
        publish("a.b", {}, merchant="alice")
        publish_batch([NewEvent("a.b", b"{}", "alice")] * 2, scope="t", now=timezone.now())
        assert Delivery.objects.count() == 3
        for row in Delivery.objects.all():
            assert row.id == delivery_id(row.event_id, place=1)

    def test_the_delivery_of_a_test_too(self, endpoint: Endpoint) -> None:
        row = Delivery.objects.get(id=trial.begin(endpoint=endpoint, event_type=None, actor="t", now=timezone.now()))
        assert row.id == delivery_id(row.event_id, place=1)

    @pytest.mark.parametrize("days_off", [-400, -1, 20])
    def test_what_a_host_with_a_wrong_clock_publishes_is_kept_and_found(
        self, days_off: int, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wrong = timezone.now() + days_off * DAY
        monkeypatch.setattr(sys.modules["deliveries.services.publish"], "new_id", lambda: id_at(wrong))
        publish("a.b", {}, merchant="alice")
        row = Delivery.objects.get()
        assert home_of(Delivery, row.id) == home_of(Event, row.event_id) == ("early" if days_off < 0 else "late")
        # Nothing else lies there and needs to be moved: the days stay as they are.
        assert partitioning.make_ahead(now=timezone.now()) == []

    @pytest.mark.parametrize("at", ["early", "today", "late"])
    def test_an_endpoint_is_owed_an_event_once_in_any_partition(self, at: str, owe: Make, today: date) -> None:
        row = owe(noon({"early": today - 9 * DAY, "today": today, "late": today + 30 * DAY}[at]))
        twin = Delivery.objects.get(id=row.id)
        twin.id = delivery_id(row.event_id, place=2)
        with pytest.raises(IntegrityError, match=r"event_id_endpoint_id|once_per_endpoint"), transaction.atomic():
            twin.save(force_insert=True)
        attempt = Attempt.objects.get()
        attempt.number = 2
        with pytest.raises(IntegrityError, match="attempt"), transaction.atomic():
            attempt.save(force_insert=True)


class TestBeatIsDead:
    """The days have run out: everything goes into `late`, and nothing fails."""

    def test_what_was_published_meanwhile_stays_and_gets_its_partition(
        self, endpoint: Endpoint, owe: Make, today: date, caplog: pytest.LogCaptureFixture
    ) -> None:
        recut(today - 5 * DAY)
        old = owe(noon(today - 3 * DAY))
        publish("a.b", {}, merchant="alice")
        new = Delivery.objects.get(status="pending")
        assert home_of(Delivery, old.id) == home_of(Delivery, new.id) == "late"
        with caplog.at_level(logging.ERROR):
            made = partitioning.make_ahead(now=timezone.now())
        assert f"No partition was made for {today - 5 * DAY} and the days after it" in caplog.text
        assert made == [today - 5 * DAY, *(today + count * DAY for count in range(1, 9))]
        assert days()[1] == (named(today - 5 * DAY), today - 5 * DAY, today + DAY)
        assert home_of(Delivery, old.id) == home_of(Event, new.event_id) == named(today - 5 * DAY)
        publish("a.b", {}, merchant="alice")
        assert {home_of(Delivery, row.id) for row in Delivery.objects.all()} == {named(today - 5 * DAY)}
        twin = Delivery.objects.get(id=old.id)
        twin.id = delivery_id(old.event_id, place=2)
        with pytest.raises(IntegrityError), transaction.atomic():
            twin.save(force_insert=True)

    def test_rows_of_a_clock_ahead_do_not_keep_the_days_from_being_made(self, owe: Make, today: date) -> None:
        recut(today)
        row = owe(noon(today + 2 * DAY))
        assert partitioning.make_ahead(now=timezone.now())[:2] == [today, today + 3 * DAY]
        assert home_of(Delivery, row.id) == named(today)


class TestInOrder:
    def test_a_log_is_read_newest_first_through_all_partitions(
        self, endpoint: Endpoint, owe: Make, today: date
    ) -> None:
        moments = [noon(today + count * DAY) for count in (-40, -3, -2, 0, 1, 30)]
        partitioning.make_before(today - 10 * DAY)
        rows = [owe(moment).id for moment in (moments[3], moments[0], moments[5], *moments[1:3], moments[4])]
        found = Delivery.objects.filter(owner_id=endpoint.owner_id).order_by("-id")
        assert list(found.values_list("id", flat=True)) == sorted(rows, reverse=True)

    def test_a_full_page_stops_in_the_newest_days(self, endpoint: Endpoint, today: date) -> None:
        partitioning.make_before(today - 10 * DAY)
        fill(endpoint, [noon(today - count * DAY) for count in range(10)], 60)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE deliveries_delivery")
            cursor.execute(
                "EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM deliveries_delivery WHERE owner_id = %s"
                " ORDER BY id DESC LIMIT 50",
                [endpoint.owner_id],
            )
            ((plan,),) = cursor.fetchone()
        # The partitions in their order, one behind the other: nothing above them sorts or merges.
        assert [plan["Plan"]["Node Type"], plan["Plan"]["Plans"][0]["Node Type"]] == ["Limit", "Append"]
        read = [node for node in nodes(plan["Plan"]) if node.get("Relation Name") and node["Actual Rows"]]
        assert [node["Relation Name"] for node in read] == [f"deliveries_delivery_{named(today)}"]


class TestConcurrency:
    def test_publishers_go_on_while_days_are_made_and_taken_away(
        self, endpoint: Endpoint, owe: Make, today: date
    ) -> None:
        stop = Flag()

        def publish_on() -> int:
            count = 0
            while not stop.is_set() or count < 50:
                publish("a.b", {}, merchant="alice")
                count += 1
            connection.close()
            return count

        with ThreadPoolExecutor(2) as pool:
            running = [pool.submit(publish_on) for _ in range(2)]
            for count in range(1, 6):
                partitioning.make_ahead(now=timezone.now() + count * DAY)
                partitioning.make_before(today - count * DAY)
                partitioning.fold(by=today)
            stop.set()
            published = sum(one.result() for one in running)
        assert Event.objects.count() == Delivery.objects.count() == published
        assert covered(partitions()) == (today, today + 14 * DAY)

    def test_whoever_holds_the_ledger_is_waited_for_in_short_turns(
        self, endpoint: Endpoint, today: date, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pauses: list[float] = []
        recut(today)
        with held("SELECT FROM deliveries_event LIMIT 1") as let_go:

            def pause(seconds: float) -> None:
                # Between two tries nothing of ours is in the way of anybody.
                publish("a.b", {}, merchant="alice")
                pauses.append(seconds)
                if len(pauses) == 2:
                    let_go()

            monkeypatch.setattr("deliveries.services.partitions.time.sleep", pause)
            assert len(partitioning.make_ahead(now=timezone.now())) == 9
        assert pauses == [partitioning.PAUSE_S] * 2
        assert Delivery.objects.count() == 2


class held:  # noqa: N801 - reads as a verb
    """Another session has done this and not committed yet."""

    def __init__(self, statement: str) -> None:
        self._statement = statement

    def __enter__(self) -> Callable[[], None]:
        self._other = psycopg.connect(**connection.get_connection_params() | {"cursor_factory": psycopg.Cursor})
        self._other.execute(self._statement)
        return self._other.rollback

    def __exit__(self, *_: object) -> None:
        self._other.close()


def fill(endpoint: Endpoint, moments: list[datetime], count: int) -> None:
    Delivery.objects.bulk_create(
        Delivery(
            id=delivery_id(event_id, place=1),
            event_id=event_id,
            endpoint_id=endpoint.id,
            owner_id=endpoint.owner_id,
            event_type="a.b",
            status="held",
            created_at=moment,
        )
        for moment in moments
        for event_id in [id_at(moment + timedelta(seconds=n)) for n in range(count)]
    )


def nodes(plan: dict[str, Any]) -> Any:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


def test_a_day_begins_with_its_first_id() -> None:
    assert first_of(date(1970, 1, 2)) == UUID(int=86_400_000 << 80)
