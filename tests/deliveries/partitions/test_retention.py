"""Days are taken away as a whole: rows are gone, disk is given back, statistics still equal a recount."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from random import Random

import pytest
from django.db import connection, transaction
from django.utils import timezone

from deliveries.history import seeding
from deliveries.id_ranges import first_of
from deliveries.models import Attempt, Delivery, Event, HourlyCount, LaneEntry
from deliveries.selectors.partitions import LEDGER, covered, partitions
from deliveries.services import partitions as partitioning
from deliveries.services import publish, recount, retention
from deliveries.services.replay import resend
from deliveries.services.statistics import roll_up
from subscriptions.models import Endpoint
from tests.deliveries.partitions.conftest import DAY, Make, home_of, named, noon
from tests.deliveries.partitions.test_days import held

pytestmark = pytest.mark.usefixtures("days_restored")


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deliveries.doorbell.Doorbell.ring", lambda self: True)


def purge(by: date) -> retention.Deleted:
    return sum(retention.purge(before=noon(by), now=timezone.now()), retention.Deleted())


def differing(since: datetime) -> int:
    return recount.compare(since=since, told=lambda _: None)


class TestDrop:
    def test_rows_are_gone_and_disk_is_given_back(self, today: date) -> None:
        for _ in seeding.seed(deliveries=3_000, days=3, merchants=5, now=timezone.now(), random=Random(1)):
            pass
        old, kept_days = [named(today - 4 * DAY), named(today - 3 * DAY)], named(today - 2 * DAY)
        sizes = {one.name: sum(one.sizes) for one in partitions()}
        size = database_size()
        steps = list(retention.purge(before=noon(today - 1 * DAY), now=timezone.now()))
        assert [step.deliveries for step in steps[:2]] == [1_000, 1_000]
        assert not Event.objects.filter(id__lt=first_of(today - 2 * DAY)).exists()
        # Of the last day a few were tried since, so that it goes row by row.
        assert 0 < Delivery.objects.count() < 20
        assert [one.name for one in partitions()][:2] == ["early", kept_days]
        # All of it: what the two days held, to the byte.
        assert size - database_size() == sum(sizes[name] for name in old) > 1_000_000
        assert differing(noon(today - 1 * DAY) + timedelta(hours=1)) == 0

    def test_statistics_of_later_attempts_survive_the_days_around_them(self, owe: Make, today: date) -> None:
        """A retry of an old event, a replay of another: their hours are within retention and keep their counts."""
        partitioning.make_before(today - 6 * DAY)
        owe(noon(today - 6 * DAY))
        owe(noon(today - 5 * DAY), "failed", tried_at=noon(today - 2 * DAY))
        owe(noon(today - 4 * DAY))
        owe(noon(today - 1 * DAY))
        roll_up()
        assert purge(today - 3 * DAY) == retention.Deleted(events=2, deliveries=2, attempts=2, counts=2)
        assert differing(noon(today - 3 * DAY)) == 0
        assert sorted(HourlyCount.objects.values_list("hour", flat=True)) == [
            noon(today - 2 * DAY),
            noon(today - 1 * DAY),
        ]
        # The days behind the one that stays are empty already; with it they go.
        assert [one.name for one in partitions()][1:3] == [named(today - 5 * DAY), named(today - 4 * DAY)]
        assert purge(today - 1 * DAY) == retention.Deleted(events=1, deliveries=1, attempts=1, counts=1)
        assert covered(partitions())[0] == today - 1 * DAY
        assert differing(noon(today - 1 * DAY)) == 0

    def test_what_is_owed_keeps_its_event_and_nothing_else_of_its_day(self, owe: Make, today: date) -> None:
        partitioning.make_before(today - 3 * DAY)
        owed = owe(noon(today - 3 * DAY), "pending")
        owe(noon(today - 3 * DAY))
        assert purge(today - 1 * DAY) == retention.Deleted(events=1, deliveries=1, attempts=1)
        assert Delivery.objects.get().id == owed.id
        assert LaneEntry.objects.get().delivery_id == owed.id
        assert home_of(Event, owed.event_id) == named(today - 3 * DAY)
        assert purge(today - 1 * DAY) == retention.Deleted()
        Delivery.objects.update(status="failed", next_attempt_at=None, finished_at=noon(today - 3 * DAY))
        LaneEntry.objects.all().delete()
        assert purge(today - 1 * DAY) == retention.Deleted(events=1, deliveries=1, attempts=1)
        assert covered(partitions())[0] == today - 1 * DAY

    def test_what_lies_before_all_days_goes_row_by_row(self, owe: Make, today: date) -> None:
        for count in range(3):
            owe(noon(today - (5 + count) * DAY))
        assert purge(today - 5 * DAY) == retention.Deleted(events=2, deliveries=2, attempts=2)
        assert Delivery.objects.count() == 1

    def test_the_present_days_stay(self, owe: Make, today: date) -> None:
        owe(noon(today) - timedelta(hours=1))
        assert purge(today) == retention.Deleted()
        assert covered(partitions())[0] == today
        assert Event.objects.count() == 1


class TestMeanwhile:
    def test_a_replay_that_comes_between_the_look_and_the_lock_keeps_its_day(
        self, owe: Make, today: date, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        partitioning.make_before(today - 3 * DAY)
        row = owe(noon(today - 3 * DAY), "failed")
        look = partitioning._one

        def resent_in_between(statement: str, params: dict[str, object] | None = None) -> object:
            found = look(statement, params)
            if statement.startswith("SELECT count(*)") and not LaneEntry.objects.exists():
                event = Event.objects.get(id=row.event_id)
                resend(event=event.public_id, owner_id=None, actor="t", now=timezone.now())
            return found

        monkeypatch.setattr(partitioning, "_one", resent_in_between)
        assert purge(today - 1 * DAY) == retention.Deleted()
        assert Delivery.objects.get().status == "pending"
        assert Attempt.objects.count() == 1

    def test_a_reader_of_the_day_makes_it_go_row_by_row_and_others_publish_on(
        self, owe: Make, today: date, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(partitioning, "TRIES", 2)
        monkeypatch.setattr(partitioning, "PAUSE_S", 0)
        partitioning.make_before(today - 3 * DAY)
        owe(noon(today - 3 * DAY))
        with held("SELECT FROM deliveries_event"):
            assert purge(today - 1 * DAY) == retention.Deleted(events=1, deliveries=1, attempts=1)
            publish("a.b", {}, merchant="alice")
        assert covered(partitions())[0] == today - 3 * DAY
        assert purge(today - 1 * DAY) == retention.Deleted()
        assert covered(partitions())[0] == today - 1 * DAY
        assert Delivery.objects.count() == 1

    def test_publishers_go_on_while_days_are_dropped(self, owe: Make, today: date, endpoint: Endpoint) -> None:
        partitioning.make_before(today - 8 * DAY)
        for count in range(1, 9):
            owe(noon(today - count * DAY))

        def publish_some() -> None:
            for _ in range(60):
                publish("a.b", {}, merchant="alice")
            connection.close()

        with ThreadPoolExecutor(2) as pool:
            running = [pool.submit(publish_some) for _ in range(2)]
            gone = retention.Deleted()
            for count in range(8, 0, -1):
                gone += purge(today - (count - 1) * DAY)
            for one in running:
                one.result()
        assert (gone.events, gone.deliveries, gone.attempts) == (8, 8, 8)
        assert Event.objects.count() == Delivery.objects.count() == LaneEntry.objects.count() == 120
        assert covered(partitions())[0] == today

    def test_a_resend_that_waits_for_the_drop_finds_nothing_to_send(
        self, owe: Make, today: date, endpoint: Endpoint
    ) -> None:
        partitioning.make_before(today - 3 * DAY)
        row = owe(noon(today - 3 * DAY), "failed")
        [day] = [one for one in partitions() if one.first == today - 3 * DAY]
        event = Event.objects.get().public_id

        def send_again() -> str:
            try:
                resend(event=event, owner_id=None, actor="t", now=timezone.now())
            except Exception as refusal:  # noqa: BLE001 - which one is the question
                return type(refusal).__name__
            finally:
                connection.close()
            return "sent"

        with ThreadPoolExecutor(1) as pool:
            with transaction.atomic():
                assert partitioning.empty(day, before=noon(today)) == (1, 1, 1)
                waiting = pool.submit(send_again)
            assert waiting.result() in {"NotFound", "Conflict"}
        assert not LaneEntry.objects.exists()
        assert not Delivery.objects.filter(id=row.id).exists()


def database_size() -> int:
    """Of all partitions, with their indexes and long values."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(pg_total_relation_size(inhrelid))::bigint "
            " FROM pg_inherits WHERE inhparent = ANY (%s::regclass[])",
            [[table.name for table in LEDGER]],
        )
        return int(cursor.fetchone()[0])
