"""Retention of one merchant: what is older than its own time goes, whole or not at all; nobody else's does."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from deliveries.id_ranges import delivery_id
from deliveries.models import Attempt, Delivery, Event, Export, Expunge, HourlyCount, IdempotencyKey, LaneEntry
from deliveries.services import merchant_retention
from deliveries.services.merchant_retention import Purged
from dispatcher.ids import new_id
from subscriptions.models import Endpoint, Merchant
from tests.deliveries.api.conftest import World
from tests.ids import id_at

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
OLD = NOW - timedelta(days=8)
Make = Callable[..., Any]


@pytest.fixture(autouse=True)
def a_week(world: World) -> None:
    Merchant.objects.filter(id=world.alice.id).update(retention_days=7)


def owe(
    merchant: Merchant, owner: Merchant | None = None, *, at: datetime = OLD, status: str = "delivered", **fields: Any
) -> Event:
    """An event of that time with one delivery in that status, tried once."""
    event = Event.objects.create(
        id=id_at(at), merchant_id=merchant.id, type="invoice.paid", payload=b"{}", occurred_at=at, created_at=at,
        external_id=fields.pop("external_id", None),
    )  # fmt: skip
    is_final = status in {"delivered", "failed", "cancelled"}
    values = {"attempts_made": 1, "last_attempt_at": at} | fields
    delivery = Delivery.objects.create(
        id=delivery_id(event.id, place=1), event_id=event.id,
        endpoint_id=new_id(), owner_id=(owner or merchant).id, event_type=event.type,
        status=status, next_attempt_at=at if status == "pending" else None, finished_at=at if is_final else None,
        created_at=at, **values,
    )  # fmt: skip
    Attempt.objects.create(
        delivery_id=delivery.id, number=1, trigger="event", is_counted=True, reason="delivered", url="x",
        request_headers="", started_at=at,
    )  # fmt: skip
    return event


def purge(now: datetime = NOW) -> Purged:
    return sum(merchant_retention.purge(now=now), Purged())


def left() -> set[Any]:
    assert set(Delivery.objects.values_list("event_id", flat=True)) == set(Event.objects.values_list("id", flat=True))
    assert Attempt.objects.count() == Delivery.objects.count()
    return set(Event.objects.all())


def test_only_its_own_and_only_what_is_older(world: World) -> None:
    owe(world.alice)
    young = owe(world.alice, at=NOW - timedelta(days=6))
    strangers = {owe(one) for one in (world.bob, world.charlie, world.portfolio)}
    assert purge() == Purged(events=1, deliveries=1, attempts=1)
    assert left() == {young} | strangers


def test_goes_with_its_deliveries_to_those_above(world: World) -> None:
    owe(world.alice, world.portfolio)
    above = owe(world.portfolio)
    assert purge() == Purged(1, 1, 1)
    assert left() == {above}


@pytest.mark.parametrize("fields", [{"status": "pending"}, {"last_attempt_at": NOW - timedelta(days=1)}])
def test_what_is_still_owed_or_was_tried_since_stays_whole(world: World, fields: Any) -> None:
    event = owe(world.alice, **fields)
    assert purge() == Purged()
    assert left() == {event}


def test_in_steps_and_nothing_twice(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merchant_retention, "EVENTS_A_STEP", 2)
    for minutes in range(5):
        owe(world.alice, at=OLD + timedelta(minutes=minutes))
    assert [step.events for step in merchant_retention.purge(now=NOW)] == [2, 2, 1]
    assert purge() == Purged()


def test_a_merchant_that_was_deleted_keeps_nothing_longer(world: World) -> None:
    owe(world.alice)
    Merchant.objects.filter(id=world.alice.id).update(deleted_at=NOW)
    assert purge().events == 1


def test_a_longer_time_than_everybodys_means_nothing(world: World, settings: Any) -> None:
    owe(world.alice)
    settings.RETENTION_DAYS = 7
    assert purge() == Purged()


def test_an_id_that_the_provider_chose_is_free_again(world: World) -> None:
    gone = owe(world.alice, external_id="order-1")
    kept = owe(world.bob, external_id="order-2")
    for event, scope in ((gone, "event-id"), (kept, "event-id"), (gone, "key_x")):
        IdempotencyKey.objects.create(
            scope=scope,
            key=event.external_id or "",
            event_id=event.id,
            request_hash=b"",
            expires_at=NOW + timedelta(days=80),
        )
    purge()
    assert set(IdempotencyKey.objects.values_list("scope", "key")) == {("event-id", "order-2"), ("key_x", "order-1")}


@pytest.mark.django_db(transaction=True)
def test_hourly_counts_stay_and_a_recount_leaves_them_alone(world: World, endpoint: Endpoint) -> None:
    now = timezone.now()
    owe(world.alice, at=now - timedelta(days=8))
    HourlyCount.objects.create(
        hour=(now - timedelta(days=8)).replace(minute=0, second=0, microsecond=0), endpoint_id=endpoint.id,
        owner_id=world.alice.id, event_type="invoice.paid", attempts=1, delivered=1, failed=0, latencies=[0] * 20,
    )  # fmt: skip
    before = list(HourlyCount.objects.values())
    assert purge(now).attempts == 1
    call_command("recount", "--repair", "--yes", stdout=StringIO(), stderr=StringIO())
    assert list(HourlyCount.objects.values()) == before
    assert merchant_retention.counted_since(now=now) == now - timedelta(days=7)
    Merchant.objects.update(retention_days=None)
    assert merchant_retention.counted_since(now=now) == now - timedelta(days=90)


def test_the_command_does_it_and_tells(world: World) -> None:
    now = timezone.now()
    owe(world.alice, at=now - timedelta(days=8))
    old = owe(world.bob, at=now - timedelta(days=8))
    told = StringIO()
    call_command("retention", "--yes", stdout=told)
    assert "of merchants with a shorter time: 1 events, 1 deliveries, 1 attempts deleted" in told.getvalue()
    assert left() == {old}


def test_old_requests_go_running_ones_stay(world: World) -> None:
    def make(at: datetime, *, is_over: bool) -> None:
        times = {"since": at, "until": at, "created_at": at, "updated_at": at, "actor": "t"}
        end = {"status": "finished", "finished_at": at} if is_over else {}
        Expunge.objects.create(merchant_id=world.alice.id, account="a", **times, **end)
        expiry = {"expires_at": at} if is_over else {}
        Export.objects.create(owner_id=world.alice.id, format="csv", **times, **end, **expiry)

    ancient = NOW - timedelta(days=91)
    for at, is_over in ((ancient, True), (ancient, False), (OLD, True)):
        make(at, is_over=is_over)
    purge()
    for model in (Expunge, Export):
        assert set(model.objects.values_list("created_at", "status")) == {(ancient, "running"), (OLD, "finished")}
    assert LaneEntry.objects.count() == 0
