"""Large payloads: a drain carries only so many bytes of them at once, and leaves nobody behind for their sake."""

import random
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from deliveries.engine import drain as draining
from deliveries.engine import process, stopping
from deliveries.models import Delivery, Lane
from deliveries.services import NewEvent, publish_batch
from dispatcher.outcomes import Reason
from subscriptions.models import Endpoint
from tests.deliveries.engine.conftest import HandDrain, result
from tests.receivers.receiver import Connection, Receiver, Script

pytestmark = pytest.mark.django_db(transaction=True)

Make = Callable[..., Any]
KIB, MIB = 1024, 1024 * 1024
LARGEST = 256 * KIB


@pytest.fixture
def now() -> datetime:
    """A little ahead of the database's own clock, by which lanes are marked due."""
    return datetime.now(UTC) + timedelta(seconds=1)


@pytest.fixture
def endpoint(make_merchant: Make, make_endpoint: Make, make_type: Make) -> Endpoint:
    make_type("invoice.paid")
    made: Endpoint = make_endpoint(make_merchant("alice"), max_in_flight=500)
    return made


def text_of(size: int) -> bytes:
    """JSON of exactly so many bytes, which does not compress well."""
    return b'"' + random.randbytes(size // 2 - 1).hex().encode() + b'"'


def publish(sizes: list[int], *, now: datetime, merchant: str = "alice") -> None:
    for start in range(0, len(sizes), 20):
        events = [NewEvent("invoice.paid", text_of(size), merchant) for size in sizes[start : start + 20]]
        publish_batch(events, scope="t", now=now)
    Lane.objects.update(window=500)


def sizes_of(picks: list[Any]) -> list[int]:
    return [len(pick.payload) for pick in picks]


def test_a_turn_takes_payloads_until_its_bytes_are_used_up(endpoint: Endpoint, drain: HandDrain, now: datetime) -> None:
    publish([LARGEST] * 12, now=now)
    plan = drain.turn(now=now, free_bytes=MIB + 1)
    # Up to and including the one that goes over.
    assert (sizes_of(plan.picks), plan.is_hungry) == ([LARGEST] * 5, True)
    assert drain.turn(now=now, free_bytes=0).picks == []
    assert len(drain.turn(now=now, free_bytes=100 * MIB).picks) == 7


def test_one_that_is_larger_than_all_that_is_free_still_goes(
    endpoint: Endpoint, drain: HandDrain, now: datetime
) -> None:
    publish([LARGEST, 10, 10], now=now)
    assert sizes_of(drain.turn(now=now, free_bytes=1).picks) == [LARGEST]


def test_those_that_were_left_out_keep_their_place_before_the_large_ones(
    endpoint: Endpoint, make_merchant: Make, make_endpoint: Make, drain: HandDrain, now: datetime
) -> None:
    publish([LARGEST] * 8, now=now)
    bob = make_endpoint(make_merchant("bob"))
    publish([10], now=now, merchant="bob")
    first = drain.turn(now=now, free_bytes=MIB).picks
    assert sizes_of(first) == [LARGEST] * 4
    done = [result(pick, Reason.DELIVERED, now=now) for pick in first]
    second = drain.turn(now=now, results=done, free_bytes=MIB).picks
    assert bob.id in {pick.endpoint_id for pick in second}
    assert sorted(sizes_of(second)) == [10] + [LARGEST] * 4


@pytest.fixture
def engine(settings: Any) -> Iterator[None]:
    settings.ALLOWED_TARGET_NETWORKS = (ip_network("127.0.0.0/8"),)
    settings.ALLOW_HTTP_TARGETS = True
    stopping.reset()
    yield
    process.close()


def resident_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * KIB


@pytest.mark.parametrize("client", ["curl", "requests"])
def test_the_drain_never_carries_more_than_its_bytes_and_delivers_all(
    client: str,
    engine: None,
    endpoint: Endpoint,
    receive: Callable[[Script], Receiver],
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """300 payloads of 256 KiB are 75 MiB; the budget here is 8. Answers take long enough for all to be in the air."""
    settings.HTTP_CLIENT = client
    budget = 8 * MIB
    monkeypatch.setattr(draining, "PAYLOADS_BYTES", budget)
    flying, most, lock = 0, 0, threading.Lock()

    def slow(connection: Connection) -> None:
        nonlocal flying, most
        while connection.read_request() is not None:
            with lock:
                flying += 1
                most = max(most, flying)
            connection.pause(0.05)
            with lock:
                flying -= 1
            # Nothing of it is kept here: it is the drain's memory that is weighed.
            connection.receiver._ledger.clear()
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    Endpoint.objects.update(target=receive(slow).url())
    publish([LARGEST] * 300, now=datetime.now(UTC))
    before, peak, done = resident_bytes(), 0, threading.Event()

    def weigh() -> None:
        nonlocal peak
        while not done.wait(0.005):
            peak = max(peak, resident_bytes())

    scale = threading.Thread(target=weigh)
    scale.start()
    try:
        assert process.drain() == 300
    finally:
        done.set()
        scale.join()
    assert Delivery.objects.filter(status="delivered").count() == 300
    assert most <= budget // LARGEST + 1
    # The receiver's buffers are in this process too. Without a budget it grew by 200 MiB, with it by 50.
    assert peak - before < 300 * LARGEST
