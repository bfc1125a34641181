"""A ledger whose partitions a test may change, and rows of any day for it."""

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from deliveries.id_ranges import day_of, delivery_id, first_of
from deliveries.models import Attempt, CountDelta, Delivery, Event, LaneEntry
from deliveries.selectors.partitions import LEDGER, covered, partitions
from deliveries.services import partitions as partitioning
from dispatcher.ids import first_id
from subscriptions.models import Endpoint
from tests.ids import id_at

Make = Callable[..., Any]


@pytest.fixture
def today() -> date:
    return day_of(first_id(timezone.now()))


@pytest.fixture
def days_restored(transactional_db: None, today: date) -> Iterator[None]:
    """Whatever partitions a test makes, the next one finds those of the days ahead."""
    yield
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE deliveries_event, deliveries_delivery, deliveries_attempt")
        first, end = covered(partitions())
    if first > today or end != today + 9 * DAY:
        recut(today)
    else:
        partitioning.fold(by=today)
    partitioning.make_ahead(now=timezone.now())


def recut(day: date) -> None:
    """As if no partition had ever been made since that day."""
    with connection.cursor() as cursor:
        found = partitions()
        for table in LEDGER:
            for one in found:
                cursor.execute(f"ALTER TABLE {table.name} DETACH PARTITION {one.table(table)}")
                if not one.is_catch_all:
                    cursor.execute(f"DROP TABLE {one.table(table)}")
            edge = first_of(day)
            cursor.execute(
                f"ALTER TABLE {table.name} ATTACH PARTITION {table.name}_early FOR VALUES FROM (MINVALUE) TO ('{edge}')"
            )
            cursor.execute(
                f"ALTER TABLE {table.name} ATTACH PARTITION {table.name}_late FOR VALUES FROM ('{edge}') TO (MAXVALUE)"
            )


@pytest.fixture
def owe(endpoint: Endpoint) -> Make:
    """An event of that moment with one delivery in that status, tried once then or later, and counted as drains do."""

    def make(at: datetime, status: str = "delivered", *, tried_at: datetime | None = None) -> Delivery:
        tried_at = tried_at or at
        event = Event.objects.create(
            id=id_at(at), merchant_id=endpoint.owner_id, type="a.b", payload=b"{}", occurred_at=at, created_at=at
        )
        delivery = Delivery.objects.create(
            id=delivery_id(event.id, place=1),
            event_id=event.id,
            endpoint_id=endpoint.id,
            owner_id=endpoint.owner_id,
            event_type=event.type,
            status=status,
            attempts_made=1,
            next_attempt_at=at if status == "pending" else None,
            finished_at=at if status in {"delivered", "failed"} else None,
            last_attempt_at=tried_at,
            created_at=at,
        )
        if status == "pending":
            LaneEntry.objects.create(delivery_id=delivery.id, endpoint_id=endpoint.id, due_at=at, trigger="retry")
        Attempt.objects.create(
            id=id_at(tried_at),
            delivery_id=delivery.id,
            number=1,
            trigger="event",
            is_counted=True,
            reason="delivered",
            leaves=status,
            url="https://receiver.example/",
            request_headers="",
            started_at=tried_at,
        )
        CountDelta.objects.create(
            endpoint_ids=[endpoint.id],
            owner_ids=[endpoint.owner_id],
            event_types=[event.type],
            started=[tried_at],
            leaves=[status],
            latencies_ms=[0.0],
        )
        return delivery

    return make


@pytest.fixture
def endpoint(make_merchant: Make, make_endpoint: Make, make_type: Make) -> Endpoint:
    make_type("a.b")
    made: Endpoint = make_endpoint(make_merchant("alice"))
    return made


def home_of(model: type[Event] | type[Delivery] | type[Attempt], row_id: Any) -> str:
    """The name of the partition in which a row lies, e.g. `d20261121`."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT tableoid::regclass::text FROM {model._meta.db_table} WHERE id = %s", [row_id])
        (name,) = cursor.fetchone()
    return str(name).removeprefix(f"{model._meta.db_table}_")


def noon(day: date) -> datetime:
    return datetime.fromisoformat(f"{day}T12:00:00+00:00")


def named(day: date) -> str:
    return f"d{day:%Y%m%d}"


DAY = timedelta(days=1)
