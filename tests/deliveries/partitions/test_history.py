"""A made-up history is like a real one: everything equals a recount, nothing of it waits to be sent."""

from datetime import date
from random import Random
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from deliveries.history import seeding
from deliveries.models import Attempt, Delivery, Event, HourlyCount, LaneEntry
from deliveries.services import publish, recount
from subscriptions.models import Endpoint
from tests.deliveries.counting import kept, recounted
from tests.deliveries.partitions.conftest import DAY, home_of, named

pytestmark = pytest.mark.usefixtures("days_restored")


def seed(count: int = 4_000, days: int = 4, number: int = 1) -> seeding.Progress:
    *_, last = seeding.seed(deliveries=count, days=days, merchants=7, now=timezone.now(), random=Random(number))
    return last


def test_statistics_equal_a_recount_in_sql_and_in_python() -> None:
    made = seed()
    assert recount.compare(since=timezone.now() - 30 * DAY, told=lambda _: None) == 0
    assert kept() == recounted()
    assert sum(HourlyCount.objects.values_list("attempts", flat=True)) == made.attempts == Attempt.objects.count()


def test_every_delivery_is_whole(today: date) -> None:
    made = seed()
    assert (made.deliveries, made.events) == (Delivery.objects.count(), Event.objects.count()) == (4_000, made.events)
    assert set(Delivery.objects.values_list("status", flat=True)) == {"delivered", "failed", "held", "cancelled"}
    for delivery in Delivery.objects.all()[::37]:
        event = Event.objects.get(id=delivery.event_id)
        attempts = list(Attempt.objects.filter(delivery_id=delivery.id).order_by("number"))
        assert home_of(Event, event.id) == home_of(Delivery, delivery.id) != "early"
        assert [one.number for one in attempts] == list(range(1, delivery.attempts_made + 1))
        assert attempts == sorted(attempts, key=lambda one: one.started_at)
        assert delivery.last_attempt_at == (attempts[-1].started_at if attempts else None)
        assert len(event.payload) > 400
        assert all(one.request_headers and one.request_body is None for one in attempts)
    assert {home_of(Event, row) for row in Event.objects.values_list("id", flat=True)[::37]} == {
        named(today - count * DAY) for count in (2, 3, 4, 5)
    }


def test_nothing_of_it_is_sent() -> None:
    seed()
    assert not LaneEntry.objects.exists()
    assert Delivery.objects.filter(finished_at__gte=timezone.now()).count() == 0
    assert all(target.endswith(".example/in") for target in Endpoint.objects.values_list("target", flat=True))


def test_the_same_seed_makes_the_same_and_another_adds_to_it() -> None:
    first = seed(number=5)
    again = seed(number=5)
    assert (first.events, first.attempts) == (again.events, again.attempts)
    assert Delivery.objects.count() == 8_000
    assert kept() == recounted()


class TestCommand:
    def test_tells_how_far_it_is(self, capsys: pytest.CaptureFixture[str]) -> None:
        call_command("seed_history", deliveries=600, days=3, merchants=4)
        *days, done = capsys.readouterr().out.splitlines()
        assert len(days) == 3
        assert done.startswith("done: ")
        assert "  600 deliveries, " in done
        assert done.endswith(" deliveries/s")

    def test_asks_before_it_adds_to_what_is_there(
        self, make_merchant: Any, make_type: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("deliveries.doorbell.Doorbell.ring", lambda self: True)
        make_merchant("alice")
        make_type("a.b")
        publish("a.b", {}, merchant="alice")
        with pytest.raises(CommandError, match="say --yes"):
            call_command("seed_history", deliveries=10, days=1, merchants=1)
        assert Event.objects.count() == 1
        call_command("seed_history", deliveries=10, days=1, merchants=1, yes=True)
        assert Delivery.objects.count() == 10
