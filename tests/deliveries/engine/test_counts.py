"""What a publish and a drained group cost in statements and Redis commands: counted, and the same for any size."""

from collections.abc import Callable
from typing import Any

import pytest
import redis
from django.utils import timezone

from deliveries import doorbell
from deliveries.doorbell import bell
from deliveries.models import Attempt, Delivery, Lane
from deliveries.services import NewEvent, publish_batch
from deliveries.tasks import publish as publish_task
from dispatcher.outcomes import Reason
from subscriptions.models import Endpoint
from tests.deliveries.engine.conftest import HandDrain, result
from tests.statements import counting_statements

pytestmark = pytest.mark.django_db(transaction=True)

Make = Callable[..., Any]


@pytest.fixture
def endpoints(make_merchant: Make, make_endpoint: Make, make_type: Make) -> list[Endpoint]:
    """Forty merchants with an endpoint each."""
    make_type("invoice.paid")
    return [make_endpoint(make_merchant(f"m-{n}"), max_in_flight=500) for n in range(40)]


class Meter:
    """Commands since the last reading. Reading costs commands itself, which it takes off."""

    def __init__(self, client: "redis.Redis") -> None:
        self._client = client
        first, self._before = self._total(), self._total()
        self._own = self._before - first

    def read(self) -> int:
        now = self._total()
        found, self._before = now - self._before - self._own, now
        return found

    def _total(self) -> int:
        return int(self._client.info("stats")["total_commands_processed"])


@pytest.fixture
def meter(redis_client: "redis.Redis") -> Meter:
    # Its connections are open, and the bell's broker has said all that it says once.
    bell().ring()
    bell().answer()
    bell().ring()
    redis_client.delete(doorbell.BELL_KEY, "drain")
    return Meter(redis_client)


@pytest.mark.parametrize("count", [1, 40, 400])
def test_a_publish_costs_one_command_while_a_drain_is_called_already(
    count: int, endpoints: list[Endpoint], meter: Meter
) -> None:
    bell().ring()
    meter.read()
    publish_batch([NewEvent("invoice.paid", b"{}", f"m-{n % 40}") for n in range(count)], scope="t", now=timezone.now())
    assert meter.read() == 1
    assert Delivery.objects.count() == count


@pytest.mark.parametrize("count", [1, 40])
def test_a_ring_that_calls_a_drain_costs_two(count: int, endpoints: list[Endpoint], meter: Meter) -> None:
    """The bell's key and Celery's message."""
    publish_batch([NewEvent("invoice.paid", b"{}", f"m-{n}") for n in range(count)], scope="t", now=timezone.now())
    assert meter.read() == 2


@pytest.mark.parametrize("lanes", [1, 40])
@pytest.mark.parametrize("each", [1, 10])
def test_a_group_costs_seven_statements_and_no_command(
    lanes: int, each: int, endpoints: list[Endpoint], drain: HandDrain, meter: Meter, count_statements: Any
) -> None:
    """Claim: lock, pick, read, save. Record: record, lock, save. However many lanes, and deliveries in each."""
    events = [NewEvent("invoice.paid", b"{}", f"m-{n}") for n in range(lanes) for _ in range(each)]
    publish_batch(events, scope="t", now=timezone.now())
    Lane.objects.update(window=each)
    meter.read()
    now = timezone.now()
    with count_statements(drain.store) as statements:
        picks = drain.turn(now=now).picks
        drain.turn(now=now, results=[result(pick, Reason.DELIVERED, now=now) for pick in picks], is_claiming=False)
    assert len(picks) == lanes * each
    assert len(statements) == 7
    assert meter.read() == 0
    assert Attempt.objects.count() == lanes * each


def test_a_drain_says_that_it_has_come_with_two_commands(meter: Meter) -> None:
    bell().answer()
    assert meter.read() == 2


def test_publishing_from_celery_costs_what_publishing_costs(endpoints: list[Endpoint]) -> None:
    """The event with all that is owed for it, and the lane's mark."""
    with counting_statements() as statements:
        publish_task("invoice.paid", {"a": 1}, merchant="m-0")
    assert len(statements) == 2
