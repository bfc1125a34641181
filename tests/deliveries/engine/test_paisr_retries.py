"""Up to 10 retries are Paisr's promise, whatever waits the installation has set."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from django.db import connection

from deliveries.engine import process, stopping
from deliveries.models import Attempt, Delivery
from deliveries.services import publish
from subscriptions.models import Merchant
from tests.receivers.receiver import Receiver, Script
from tests.receivers.scripts import keep_alive

pytestmark = pytest.mark.django_db(transaction=True)

Make = Callable[..., Any]
REFUSAL = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
DEFAULT = (10, 40, 160, 640, 2560, 10_240, 28_800, 28_800, 28_800)


@pytest.fixture(autouse=True)
def engine(settings: Any) -> Iterator[None]:
    settings.ALLOWED_TARGET_NETWORKS = (ip_network("127.0.0.0/8"),)
    settings.ALLOW_HTTP_TARGETS = True
    stopping.reset()
    yield
    process.close()
    stopping.reset()


@pytest.fixture
def alice(make_merchant: Make, make_type: Make) -> Merchant:
    make_type("invoice.paid")
    merchant: Merchant = make_merchant("alice")
    return merchant


def waits_until_failed() -> list[float]:
    """Drain and let the retry come due, over and over; the seconds of each wait that was announced."""
    waits: list[float] = []
    while True:
        assert process.drain() == 1
        delivery = Delivery.objects.get()
        if delivery.status != Delivery.Status.PENDING:
            assert delivery.status == Delivery.Status.FAILED
            return waits
        assert delivery.next_attempt_at is not None
        newest = Attempt.objects.order_by("-number")[0]
        ended_at = newest.started_at + timedelta(milliseconds=newest.total_ms)
        waits.append((delivery.next_attempt_at - ended_at).total_seconds())
        with connection.cursor() as cursor:
            cursor.execute("UPDATE deliveries_laneentry SET due_at = clock_timestamp()")
            # The breaker has a test of its own; here the time between the failures is only said to have passed.
            cursor.execute(
                "UPDATE deliveries_lane SET due_at = clock_timestamp(), attempts = 0, failures = 0,"
                " open_s = 0, open_until = NULL"
            )


@pytest.mark.parametrize("profile", ["paisr", "paisr-v2"])
@pytest.mark.parametrize(
    ("setting", "waits"),
    [
        (DEFAULT, (*DEFAULT, 28_800)),
        ((100, 200, 300), (100, 200, *[300] * 8)),
        (tuple(range(100, 2100, 100)), tuple(range(100, 1100, 100))),
    ],
)
def test_ten_retries_on_the_waits_of_the_setting(
    alice: Merchant,
    make_endpoint: Make,
    receive: Callable[[Script], Receiver],
    settings: Any,
    profile: str,
    setting: tuple[int, ...],
    waits: tuple[int, ...],
) -> None:
    settings.RETRY_SCHEDULE = setting
    receiver = receive(keep_alive(REFUSAL))
    make_endpoint(alice, target=receiver.url("/"), profile=profile, secret="s")
    publish("invoice.paid", b'{"id":"inv_1"}', merchant="alice")
    announced = waits_until_failed()
    # Jitter is a tenth; the rest is for the moment between the end of an attempt and its being recorded.
    assert announced == pytest.approx(list(waits), rel=0.11)
    assert len(receiver.requests) == Attempt.objects.count() == 11


@pytest.mark.parametrize(
    ("fields", "attempts"),
    [({}, 3), ({"profile": "paisr", "retry_schedule": [5]}, 2), ({"profile": "paysera-checkout"}, 4)],
)
def test_the_setting_replaces_the_default_waits_and_nothing_else(
    alice: Merchant,
    make_endpoint: Make,
    receive: Callable[[Script], Receiver],
    settings: Any,
    fields: dict[str, Any],
    attempts: int,
) -> None:
    settings.RETRY_SCHEDULE = (100, 200)
    receiver = receive(keep_alive(REFUSAL))
    make_endpoint(alice, target=receiver.url("/"), secret="s", **fields)
    publish("invoice.paid", b'{"id":"inv_1"}', merchant="alice")
    assert len(waits_until_failed()) == attempts - 1
    assert len(receiver.requests) == attempts
