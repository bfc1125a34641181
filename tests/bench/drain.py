"""Drain: waiting deliveries through real workers to kept-alive receivers, from the first ring to the last row."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db import connection

from config import plans
from config.children import Plan
from deliveries.doorbell import bell
from tests.bench import ledger, postgres, rivals, world
from tests.bench.processes import Process, ProcessFailed
from tests.bench.receivers import HOST, Receiver, free_port, start_receiver
from tests.bench.report import Figure, Report, Row, at_least, at_most, compared
from tests.bench.sizes import Sizes
from tests.bench.stage import DRAINS, Stage

POLL_S = 0.025
DRAIN_S = 120.0
RING_S = 2.0
RING_EVERY_S = 0.002
WAITING = "SELECT EXISTS (SELECT FROM deliveries_laneentry)"
HELD = "SELECT EXISTS (SELECT FROM deliveries_lane WHERE lease_token IS NOT NULL)"


@dataclass(frozen=True, slots=True)
class Run:
    """One measured drain: deliveries a second, and microseconds of processors for each: the workers', PostgreSQL's."""

    rate: float
    cpu_us: float
    postgres_us: float


def bench(stage: Stage, sizes: Sizes, report: Report, naive: rivals.Naive) -> None:
    """Rows: the drain to many, some and one receiver, each against the naive path, no HTTP at all, and bare libcurl."""
    receiver = begin(stage, report)
    plan = drain_plan(stage)
    runs = {n: series(stage, plan, receiver, sizes.drain, n, sizes.runs) for n in sizes.drain_receivers}
    bare = {n: rivals.bare_curl(stage, receiver.port, n, sizes) for n in sizes.drain_receivers}
    stage.processes.stop_all()
    rows = rows_without_http(stage, sizes)
    for receivers, found in runs.items():
        report.rows += _rows(receivers, found, naive=naive, rows=rows[receivers], bare=bare[receivers])


def bench_requests(stage: Stage, sizes: Sizes, report: Report, naive: rivals.Naive) -> None:
    """The same with HTTP_CLIENT=requests."""
    receiver = begin(stage, report)
    plan = drain_plan(stage, environment={"HTTP_CLIENT": "requests"})
    for receivers in sizes.requests_receivers:
        found = series(stage, plan, receiver, sizes.requests, receivers, sizes.runs)
        name = f"drain, requests client, to {_count(receivers)}"
        report.rows.append(at_least(name, rates(found), naive.tuned, name="tuned naive", factor=4))
        report.rows.append(Row(f"{name}: worker CPU", costs(found)))
    stage.processes.stop_all()


def rows_without_http(stage: Stage, sizes: Sizes) -> dict[int, Figure]:
    """The same drains by the same workers with a client that answers at once."""
    stage.reset()
    plan = drain_plan(stage, app="tests.bench.instant")
    return {n: rates(series(stage, plan, None, sizes.drain, n, sizes.runs)) for n in sizes.drain_receivers}


def drain_plan(
    stage: Stage, *, app: str = "config", environment: Mapping[str, str] | None = None, drains: int = DRAINS
) -> Plan:
    """The drain node as `manage.py serve` starts it; `app` may put another Celery app in its place."""
    site = plans.Site(HOST, free_port(), drains, stage.directory, {})
    (plan,) = [plan for plan in plans.platform(site) if plan.name == "drain"]
    command = tuple(app if part == "config" else part for part in plan.command)
    return Plan(plan.name, command, {**plan.environment, **(environment or {})}, plan.ready_file, is_worker=True)


def begin(stage: Stage, report: Report) -> Receiver:
    stage.reset()
    receiver = start_receiver(stage)
    report.receiver = receiver.kind
    world.aim(receiver.port)
    return receiver


def series(
    stage: Stage,
    plan: Plan,
    receiver: Receiver | None,
    count: int,
    merchants: int,
    runs: int,
    *,
    drains: int = DRAINS,
) -> list[Run]:
    """A run for warm-up, which opens connections and prepares endpoints in both processes, then those that count.

    A fresh worker for each series: what it remembers of ten thousand receivers is no part of a drain to one hundred.
    """
    worker = stage.processes.start_plan(plan)
    found = [drain(worker, receiver, count=count, merchants=merchants, drains=drains) for _ in range(runs + 1)][1:]
    stage.processes.stop(worker)
    return found


def drain(worker: Process, receiver: Receiver | None, *, count: int, merchants: int, drains: int = DRAINS) -> Run:
    """One run. Raises Void when the ledger does not balance."""
    involved = [worker, receiver.process] if receiver else [worker]
    before = ledger.Ledger.read(received=receiver.count() if receiver else 0)
    world.publish_waiting(count, merchants=merchants)
    world.mark_due()
    cpu, postgres_s, began = worker.cpu_s(), postgres.cpu_s(), time.monotonic()
    ring(drains)
    wait_until_none(WAITING, *involved)
    elapsed, cpu, postgres_s = time.monotonic() - began, worker.cpu_s() - cpu, postgres.cpu_s() - postgres_s
    wait_until_none(HELD, *involved)
    found = ledger.Ledger.read(received=receiver.count() if receiver else 0).since(before)
    ledger.check(found, published=count, delivered=count, received=count if receiver else 0)
    ledger.check_entries()
    return Run(count / elapsed, cpu / count * 1e6, postgres_s / count * 1e6)


def ring(drains: int = DRAINS) -> None:
    """Ring until every process drains, as the publishes of a busy platform do; rings in between coalesce."""
    began, deadline = bell().drains_started(), time.monotonic() + RING_S
    while bell().drains_started() < began + drains and time.monotonic() < deadline:
        bell().ring()
        time.sleep(RING_EVERY_S)


def wait_until_none(question: str, *involved: Process) -> None:
    deadline = time.monotonic() + DRAIN_S
    while _ask(question):
        for process in involved:
            process.check()
        if time.monotonic() > deadline:
            raise ProcessFailed(f"not done after {DRAIN_S:g} s: {involved[0].tail()}")
        time.sleep(POLL_S)


def _ask(question: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(question)
        (answer,) = cursor.fetchone() or (False,)
    return bool(answer)


def _rows(receivers: int, found: list[Run], *, naive: rivals.Naive, rows: Figure, bare: Figure) -> list[Row]:
    name, rate = f"drain to {_count(receivers)}", rates(found)
    return [
        at_least(name, rate, naive.plain, name="naive", factor=40),
        compared(f"{name}: against the naive path, tuned", rate, naive.tuned, name="tuned naive"),
        at_least(f"{name}: share of the rate without HTTP", rate, rows, name="rows only", factor=0.5),
        at_most(f"{name}: worker CPU", costs(found), bare, name="bare CurlMulti", factor=6),
        Row(f"{name}: PostgreSQL's CPU", postgres_costs(found)),
    ]


def _count(receivers: int) -> str:
    return "1 receiver" if receivers == 1 else f"{receivers:,} receivers"


def rates(runs: Sequence[Run]) -> Figure:
    return Figure("/s", tuple(run.rate for run in runs))


def costs(runs: Sequence[Run]) -> Figure:
    return Figure(" µs", tuple(run.cpu_us for run in runs))


def postgres_costs(runs: Sequence[Run]) -> Figure:
    return Figure(" µs", tuple(run.postgres_us for run in runs))
