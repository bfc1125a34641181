"""What must hold when parts die: the receiver's own ledger is joined with what Postgres says."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.stack import Stack, running_stack, wait_until
from tests.receivers.receiver import Connection, Receiver, Script
from tests.receivers.scripts import OK

pytestmark = pytest.mark.acceptance

PENDING = "SELECT count(*) FROM deliveries_delivery WHERE status = 'pending'"
LEASE_S = 30


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("s")) as running:
        running.create("/api/v2/event-types", {"name": "invoice.paid"})
        yield running


def answering_after(seconds: float) -> Script:
    def script(connection: Connection) -> None:
        while connection.read_request() is not None:
            connection.pause(seconds)
            connection.send(OK)

    return script


def add_merchant(stack: Stack, reference: str, urls: list[str]) -> None:
    stack.create("/api/v2/merchants", {"name": reference, "reference": reference})
    for url in urls:
        stack.create(f"/api/v2/webhooks/endpoints?merchant={reference}", {"url": url})


def publish_many(stack: Stack, reference: str, count: int) -> None:
    for start in range(0, count, 500):
        events = [
            {"type": "invoice.paid", "merchant": reference, "payload": {"n": n}}
            for n in range(start, min(count, start + 500))
        ]
        status, answer = stack.call("POST", "/api/v2/events/batch", {"events": events})
        assert status == 202, answer


def all_done(stack: Stack) -> bool:
    return bool(stack.sql(PENDING)[0][0] == 0)


def seen(receiver: Receiver) -> Counter[tuple[str, str | None]]:
    """How often each delivery came: an endpoint is a path here."""
    return Counter((request.path, request.header("webhook-id")) for request in receiver.requests)


def attempts(stack: Stack, reference: str, *, reason: str | None = None) -> list[tuple[Any, ...]]:
    return stack.sql(
        """
        SELECT d.id, a.reason, a.number FROM deliveries_attempt a
        JOIN deliveries_delivery d ON d.id = a.delivery_id
        JOIN subscriptions_merchant m ON m.id = d.owner_id
        WHERE m.reference = %s AND a.reason = COALESCE(%s, a.reason)
        """,
        reference,
        reason,
    )


def test_flushed_redis_and_killed_workers_lose_nothing(stack: Stack, receive: Callable[[Script], Receiver]) -> None:
    receiver = receive(answering_after(0.2))
    add_merchant(stack, "killed", [receiver.url(f"/{n}") for n in range(10)])
    publish_many(stack, "killed", 100)
    assert stack.sql(PENDING)[0][0] > 900
    stack.redis_client().flushall()
    wait_until(lambda: len(receiver.requests) > 150, seconds=20, what="the drain is under way")
    stack.kill_workers()
    took = wait_until(lambda: all_done(stack), seconds=LEASE_S + 40, what="every delivery is final")
    assert took > 0
    counts = seen(receiver)
    assert len(counts) == 1000
    assert stack.sql("SELECT DISTINCT status FROM deliveries_delivery") == [("delivered",)]
    interrupted = attempts(stack, "killed", reason="interrupted")
    again = [key for key, count in counts.items() if count > 1]
    assert sum(counts.values()) - 1000 <= len(interrupted)
    assert len(again) <= len(interrupted) <= 500
    # Every POST that the receiver saw has its attempt row.
    assert len(receiver.requests) <= len(attempts(stack, "killed"))
    # The statistics equal a recount, also while they are still being rolled up; the command fails when they do not.
    assert stack.manage("recount").endswith(": 0 hourly counts differ\n")
    wait_until(lambda: not stack.sql("SELECT 1 FROM deliveries_countdelta"), seconds=15, what="beat rolls up")
    assert stack.manage("recount").endswith(": 0 hourly counts differ\n")
    assert stack.sql("SELECT sum(attempts), sum(delivered) FROM deliveries_hourlycount WHERE attempts > 0") == [
        (len(attempts(stack, "killed")), 1000)
    ]


@pytest.mark.parametrize("harm", ["frozen", "stopped"])
def test_publishing_survives_a_sick_redis(stack: Stack, receive: Callable[[Script], Receiver], harm: str) -> None:
    receiver = receive(answering_after(0))
    add_merchant(stack, harm, [receiver.url("/in")])
    if harm == "frozen":
        stack.freeze_redis()
    else:
        stack.redis_server.stop()
    for number in range(3):
        began = time.monotonic()
        status, _ = stack.call("POST", "/api/v2/events", {"type": "invoice.paid", "merchant": harm, "payload": number})
        assert status == 202
        assert time.monotonic() - began < 3
    if harm == "frozen":
        stack.thaw_redis()
    else:
        stack.redis_server.start()
    wait_until(lambda: len(receiver.requests) == 3, seconds=30, what="the deliveries leave when Redis is back")
    wait_until(lambda: all_done(stack), seconds=10, what="and are recorded")
    # The endpoint is not ordered: all three leave at once.
    assert sorted(request.body for request in receiver.requests) == [b"0", b"1", b"2"]


def test_a_warm_shutdown_finishes_what_is_in_the_air(stack: Stack, receive: Callable[[Script], Receiver]) -> None:
    receiver = receive(answering_after(4))
    add_merchant(stack, "warm", [receiver.url("/in")])
    publish_many(stack, "warm", 20)
    wait_until(lambda: len(receiver.requests) >= 4, seconds=10, what="requests are in the air")
    node = stack.node_pid("drain")
    os.kill(node, signal.SIGTERM)
    assert wait_until(lambda: not Path(f"/proc/{node}/exe").exists(), seconds=15, what="the node ends") > 1
    in_the_air = len(receiver.requests)
    wait_until(lambda: all_done(stack), seconds=60, what="the next node delivers the rest")
    assert in_the_air < 20
    assert set(seen(receiver).values()) == {1}
    assert len(receiver.requests) == 20
    assert attempts(stack, "warm", reason="interrupted") == []


def test_dripping_receivers_do_not_slow_healthy_ones(stack: Stack, receive: Callable[[Script], Receiver]) -> None:
    def drip(connection: Connection) -> None:
        connection.read_request()
        connection.drip(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 60, every_s=1)

    dripping, healthy = receive(drip), receive(answering_after(0))
    for group in range(15):
        add_merchant(stack, f"drip-{group}", [dripping.url(f"/{group}/{n}") for n in range(20)])
    for group in range(5):
        add_merchant(stack, f"healthy-{group}", [healthy.url(f"/{group}/{n}") for n in range(10)])
    for group in range(15):
        publish_many(stack, f"drip-{group}", 10)
    wait_until(lambda: dripping.connections >= 300, seconds=20, what="all of them drip")
    began = time.monotonic()
    for group in range(5):
        publish_many(stack, f"healthy-{group}", 20)
    wait_until(lambda: len(healthy.requests) == 1000, seconds=5, what="1,000 healthy deliveries")
    assert time.monotonic() - began < 5
    wait_until(
        lambda: len(stack.sql("SELECT 1 FROM deliveries_attempt WHERE reason = 'response_timeout' LIMIT 300")) == 300,
        seconds=30,
        what="300 timeouts",
    )
    durations = [
        row[0] for row in stack.sql("SELECT total_ms FROM deliveries_attempt WHERE reason = 'response_timeout'")
    ]
    assert 9_500 <= min(durations) <= max(durations) <= 10_500
