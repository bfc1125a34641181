"""Far more publishes than can be worked on: each is taken or told to come again, and memory stays where it was."""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config import front, plans
from tests.acceptance.stack import Stack, running_stack, wait_until
from tests.acceptance.test_faults import add_merchant
from tests.bench.load import Answer, Load, post
from tests.receivers.receiver import Receiver, Script
from tests.receivers.scripts import keep_alive

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

EVENTS = "/api/v2/events"
WAVE = 6_000
MOST_GROWTH_BYTES = 48 * 1024 * 1024
# Of one process from the second wave to the last. Kept requests alone would need more: 12,000 of 8 KB.
PAYLOAD_BYTES = 8_000
PENDING = "SELECT count(*) FROM deliveries_delivery WHERE status = 'pending'"
PATIENCE_S = 180.0


@pytest.fixture
def stack(tmp_path: Path, receive: Callable[[Script], Receiver]) -> Iterator[Stack]:
    with running_stack(tmp_path) as running:
        running.create("/api/v2/event-types", {"name": "invoice.paid"})
        add_merchant(running, "alice", [receive(keep_alive()).url("/in")])
        yield running


def test_overload_is_told_and_costs_no_memory(stack: Stack) -> None:
    statuses: Counter[int] = Counter()
    weights = []
    for _ in range(4):
        answers = _wave(stack)
        statuses.update(answer.status for answer in answers)
        refusals = [json.loads(answer.body) for answer in answers if answer.status != 202]
        assert {(one["status"], one["code"]) for one in refusals} <= {(503, "overloaded")}
        weights.append(_weights(stack))
    assert set(statuses) == {202, 503}, statuses
    assert stack.sql("SELECT count(*) FROM deliveries_event") == [(statuses[202],)]
    assert weights[1].keys() == weights[-1].keys(), "a process died"
    growth = {place: weights[-1][place] - weights[1][place] for place in weights[1]}
    assert max(growth.values()) < MOST_GROWTH_BYTES, growth
    wait_until(lambda: stack.sql(PENDING) == [(0,)], seconds=PATIENCE_S, what="all that was taken is delivered")
    assert stack.sql("SELECT status, count(*) FROM deliveries_delivery GROUP BY 1") == [("delivered", statuses[202])]


def _wave(stack: Stack) -> list[Answer]:
    """Everybody at once, and again with each answer; more callers than may wait, wherever the kernel sends them."""
    processors = len(os.sched_getaffinity(0))
    threads = min(plans.WEB_PROCESSES_MAX, processors) * min(plans.WEB_THREADS_MAX, 2 * processors + 1)
    load = Load(stack.port, connections=5 * threads * (1 + front.WAITING_EACH) // 2)
    try:
        return load.closed_loop([post(EVENTS, _body(), key=stack.key)] * WAVE)[0]
    finally:
        load.close()


def _body() -> bytes:
    return json.dumps({"type": "invoice.paid", "merchant": "alice", "payload": "x" * PAYLOAD_BYTES}).encode()


def _weights(stack: Stack) -> dict[tuple[str, int], int]:
    """Resident bytes of each process that serves or delivers."""
    return {
        (one.part, one.pid): int(Path(f"/proc/{one.pid}/statm").read_text().split()[1]) * 4096
        for one in stack.running()
        if one.part in ("web", "drain")
    }
