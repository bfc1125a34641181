"""Outage: receivers that are down until a backlog waits for them, then up: how fast it leaves, and what it costs."""

import time

from config import plans
from tests.bench import drain, ledger, world
from tests.bench.processes import Process, ProcessFailed
from tests.bench.publish import make_site
from tests.bench.receivers import Receiver, free_port, start_receiver
from tests.bench.report import Figure, Report, Row, compared
from tests.bench.sizes import Sizes
from tests.bench.stage import Stage

DOWN_S = 10.0
# Long enough for every lane to have failed and been given a rest.
BACK_S = 240.0
# A breaker waits for half a minute, then for a minute; what failed before waits for its retry.
POLL_S = 0.1
MEGABYTE = 1024 * 1024


def bench(stage: Stage, sizes: Sizes, report: Report) -> None:
    """Rows: the rate after the outage against a drain of the same receivers, attempts that it wasted, memory."""
    receiver = drain.begin(stage, report)
    usual = drain.series(stage, drain.drain_plan(stage), receiver, sizes.drain, sizes.outage_receivers, sizes.runs)
    stage.processes.stop_all()
    runs = [_run(stage, sizes) for _ in range(max(1, sizes.runs // 2))]
    rate, wasted, grown = (
        Figure(unit, values) for unit, values in zip(("/s", "", " MB"), zip(*runs, strict=True), strict=True)
    )
    name = f"outage, {sizes.outage:,} waiting for {sizes.outage_receivers} receivers"
    report.rows += [
        compared(f"{name}: rate once they are back", rate, drain.rates(usual), name="drain"),
        Row(f"{name}: attempts while they were down, for each receiver", wasted),
        Row(f"{name}: growth of the drain node's memory", grown),
    ]


def _run(stage: Stage, sizes: Sizes) -> tuple[float, float, float]:
    """Deliveries a second from the first that arrives to the last; wasted attempts for each receiver; megabytes."""
    stage.reset()
    world.aim(free_port())
    site = make_site(stage)
    started = {p.name: stage.processes.start_plan(p) for p in plans.platform(site) if p.name != "web"}
    worker = started["drain"]
    weight = worker.memory_bytes()
    world.publish_waiting(sizes.outage, merchants=sizes.outage_receivers)
    world.mark_due()
    drain.ring()
    time.sleep(DOWN_S)
    wasted = ledger.Ledger.read().attempts / sizes.outage_receivers
    receiver = start_receiver(stage)
    world.aim(receiver.port)
    elapsed, most = _watch(worker, receiver, sizes.outage)
    drain.wait_until_none(drain.WAITING, worker)
    found = ledger.Ledger.read()
    if (found.delivered, found.pending, found.failed) != (sizes.outage, 0, 0) or receiver.count() != sizes.outage:
        raise ledger.Void(f"the ledger does not balance: {found}, received {receiver.count()}")
    stage.processes.stop_all()
    return sizes.outage / elapsed, wasted, (max(most, weight) - weight) / MEGABYTE


def _watch(worker: Process, receiver: Receiver, count: int) -> tuple[float, int]:
    """Seconds from the first arrival to that of nine in ten, scaled to all; the most that the worker weighed.

    The last tenth holds the few that had failed before the breaker opened, and wait for their own retry.
    """
    began, most, deadline = 0.0, 0, time.monotonic() + BACK_S
    while (arrived := receiver.count()) < count * 9 // 10:
        worker.check()
        now = time.monotonic()
        if arrived and not began:
            began = now
        if now > deadline:
            raise ProcessFailed(f"{arrived} of {count} arrived in {BACK_S:g} s: {worker.tail()}")
        most = max(most, worker.memory_bytes())
        time.sleep(POLL_S)
    return max(POLL_S, time.monotonic() - (began or time.monotonic())) / 0.9, most
