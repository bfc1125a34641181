"""The Celery tasks: each makes one call into the app."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.db import connection
from kombu.serialization import dumps, loads

from deliveries import tasks
from deliveries.models import Delivery, Event, Lane
from deliveries.services import replays
from subscriptions.advisory_locks import AdvisoryLock
from subscriptions.models import Merchant

pytestmark = pytest.mark.django_db(transaction=True)

Make = Callable[..., Any]


@pytest.fixture
def alice(make_merchant: Make, make_type: Make) -> Merchant:
    make_type("invoice.paid")
    merchant: Merchant = make_merchant("alice")
    return merchant


def over_the_wire(*args: Any, **kwargs: Any) -> tuple[list[Any], dict[str, Any]]:
    """The arguments as a worker gets them."""
    content_type, encoding, data = dumps([args, kwargs], serializer="json")
    received = loads(data, content_type, encoding)
    return received[0], received[1]


def test_publish_from_any_producer(alice: Merchant, make_endpoint: Make) -> None:
    make_endpoint(alice)
    exact = b'{"b":1.10,"a":  [1e2]}'
    args, kwargs = over_the_wire("invoice.paid", exact, merchant="alice", occurred_at="2026-01-31T12:00:00Z")
    tasks.publish(*args, **kwargs)
    event = Event.objects.get()
    assert bytes(event.payload) == exact
    assert event.occurred_at.isoformat() == "2026-01-31T12:00:00+00:00"
    assert Delivery.objects.count() == 1


def test_publish_takes_any_json_value(alice: Merchant) -> None:
    args, kwargs = over_the_wire("invoice.paid", "just a text", merchant="alice")
    tasks.publish(*args, **kwargs)
    assert bytes(Event.objects.get().payload) == b'"just a text"'


def test_settle_wakes_the_lane(alice: Merchant, make_endpoint: Make) -> None:
    endpoint = make_endpoint(alice)
    Lane.objects.create(endpoint_id=endpoint.id)
    tasks.settle_endpoints([str(endpoint.id)])
    assert Lane.objects.get().due_at is not None


@pytest.mark.parametrize("is_held", [True, False])
def test_ticks_that_pile_up_behind_one_that_runs_have_nothing_to_do(
    is_held: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks: list[bool] = []
    monkeypatch.setattr(replays, "advance", lambda **_: ticks.append(True))
    parameters = connection.get_connection_params() | {"cursor_factory": psycopg.Cursor}
    with psycopg.connect(**parameters, autocommit=True) as other:
        if is_held:
            other.execute("SELECT pg_advisory_lock(%s)", [AdvisoryLock.REPLAYS])
        tasks.advance_replays()
        assert ticks == [True] * (not is_held)
        with connection.cursor() as cursor:
            # Once the tick is over it is nobody's, or still the other's.
            cursor.execute("SELECT pg_advisory_unlock(%s)", [AdvisoryLock.REPLAYS])
            assert cursor.fetchone() == (False,)
