"""The default client with more in flight than select() could hold, and dead receivers beside healthy ones."""

import resource
import threading
import time
from collections.abc import Iterator

import pytest

from dispatcher.http.door import Request
from dispatcher.outcomes import Reason
from tests.dispatcher.http.conftest import GRACE_S, Sender, collect, target_of
from tests.receivers import Connection, Receiver
from tests.receivers.scripts import OK, keep_alive, then

CONCURRENT = 1_200
DESCRIPTORS = 4_096


@pytest.fixture
def descriptors() -> Iterator[None]:
    """Both ends of all connections live in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
        pytest.skip("the machine allows too few descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, DESCRIPTORS), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_over_a_thousand_at_once(curl: Sender, descriptors: None) -> None:
    everybody_is_here = threading.Barrier(CONCURRENT)

    def script(connection: Connection) -> None:
        connection.read_request()
        everybody_is_here.wait(30)
        connection.send(OK)
        keep_alive()(connection)

    with Receiver(script) as receiver:
        client = curl.client(deadline_s=30.0)
        for number in range(CONCURRENT):
            client.submit(Request(number, target_of(receiver.url()), (), b"x"))
        assert client.in_flight == CONCURRENT
        finished = collect(client, CONCURRENT, within_s=30)
        assert {one.outcome.reason for one in finished} == {Reason.DELIVERED}
        assert len({one.key for one in finished}) == CONCURRENT
        assert receiver.connections == CONCURRENT
        # And all of them once more, on the connections that are open.
        for number in range(CONCURRENT):
            client.submit(Request(number, target_of(receiver.url()), (), b"x"))
        finished = collect(client, CONCURRENT, within_s=30)
        assert {one.outcome.reason for one in finished} == {Reason.DELIVERED}
        assert len(receiver.requests) == 2 * CONCURRENT
        assert receiver.connections == CONCURRENT


def test_three_hundred_dripping_beside_fifty_healthy(curl: Sender, descriptors: None) -> None:
    deadline_s = 4.0
    head = b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1_000
    dripping = then(b"", lambda connection: connection.drip(head, every_s=0.2))
    with Receiver(dripping) as slow, Receiver(keep_alive()) as quick:
        client = curl.client(deadline_s=deadline_s)
        began = time.monotonic()
        for number in range(300):
            client.submit(Request(("slow", number), target_of(slow.url()), (), b"x"))
        for number in range(50):
            client.submit(Request(("quick", number), target_of(quick.url()), (), b"x"))
        first = collect(client, 50, within_s=deadline_s / 2)
        assert {one.key[0] for one in first} == {"quick"}  # type: ignore[index]
        rest = collect(client, 300, within_s=deadline_s + GRACE_S)
        took_s = time.monotonic() - began
    assert {one.outcome.reason for one in first} == {Reason.DELIVERED}
    assert {one.outcome.reason for one in rest} == {Reason.RESPONSE_TIMEOUT}
    assert took_s < deadline_s + GRACE_S
    totals = [one.outcome.phases.total / 1000 for one in rest]
    assert min(totals) > deadline_s - GRACE_S
    assert max(totals) < deadline_s + GRACE_S
