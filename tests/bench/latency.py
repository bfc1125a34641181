"""Latency: an idle platform, events at a steady pace, and how long each takes from its 202 to its receiver."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from config import plans
from tests.bench import ledger, world
from tests.bench.load import Answer, Load, post
from tests.bench.processes import Process
from tests.bench.publish import EVENTS, check_accepted, event, make_site, start_web
from tests.bench.receivers import Receiver, start_recorder
from tests.bench.report import Figure, Report, Row, below, percentile
from tests.bench.sizes import Sizes
from tests.bench.stage import Stage

CONNECTIONS = 64
# Far more than are ever busy: the pace must not depend on the answers.
WARM_UP = 200
SETTLE_S = 1.5
# Longer than a drain lingers: each run begins with none under way.
RECEIVED_S = 15.0
PUBLISHED_P95_S = 0.124
# The best p95 published by anybody in the field, at 50 to 200 events a second.
P50_MS, P95_MS = 6, 12


@dataclass(frozen=True, slots=True)
class Run:
    """Milliseconds of every event of a run: from its answer to its receiver, and from when it should have been sent."""

    after_answer: list[float]
    after_due: list[float]


def bench(stage: Stage, sizes: Sizes, report: Report, key: str) -> None:
    """Rows: p50, p95 and p99 at each pace."""
    stage.reset()
    receiver = start_recorder(stage)
    world.aim(receiver.port)
    site = make_site(stage)
    worker = start_platform(stage, site)
    load = Load(site.port, connections=CONNECTIONS)
    requests = _requests(sizes, key)
    _run(load, receiver, worker, requests[:WARM_UP], rate=sizes.latency[0][0])
    for rate, count in sizes.latency:
        runs = [_run(load, receiver, worker, requests[:count], rate=rate) for _ in range(sizes.runs)]
        report.rows += _rows(rate, runs)
    load.close()
    stage.processes.stop_all()


def start_platform(stage: Stage, site: plans.Site) -> Process:
    """Everything that `manage.py serve` runs. Returns the node that drains."""
    started = {p.name: stage.processes.start_plan(p) for p in plans.platform(site) if p.name != "web"}
    start_web(stage, site)
    return started["drain"]


def _requests(sizes: Sizes, key: str) -> list[bytes]:
    most = max(WARM_UP, *(count for _, count in sizes.latency))
    return [post(EVENTS, event(number, merchants=sizes.latency_receivers), key=key) for number in range(most)]


def _run(load: Load, receiver: Receiver, worker: Process, requests: Sequence[bytes], *, rate: float) -> Run:
    """One run. Raises Void unless each event was received exactly once and recorded so."""
    time.sleep(SETTLE_S)
    before = ledger.Ledger.read()
    answers = load.open_loop(requests, rate=rate)
    check_accepted(answer.status for answer in answers)
    _wait_recorded(worker, before.delivered + len(requests))
    records = receiver.records()
    found = ledger.Ledger.read(received=len(records)).since(before)
    ledger.check(found, published=len(requests), delivered=len(requests), received=len(requests))
    return delays(answers, dict(numbered(records)))


def _wait_recorded(worker: Process, delivered: int) -> None:
    deadline = time.monotonic() + RECEIVED_S
    while ledger.Ledger.read().delivered < delivered and time.monotonic() < deadline:
        worker.check()
        time.sleep(0.1)


def numbered(records: Sequence[tuple[int, str]]) -> list[tuple[int, int]]:
    """Event's number → when it was received; the member reads `{"number":17`."""
    return [(int(member.rpartition(":")[2]), moment) for moment, member in records]


def delays(answers: Sequence[Answer], received_at: dict[int, int]) -> Run:
    """An event may reach its receiver before its publisher has read the answer: such a delay is negative."""
    return Run(
        [(received_at[answer.number] - answer.answered_at) / 1e6 for answer in answers],
        [(received_at[answer.number] - answer.due_at) / 1e6 for answer in answers],
    )


def _rows(rate: int, runs: Sequence[Run]) -> list[Row]:
    name = f"latency at {rate} events/s"
    p50, p95, p99 = (_figure([run.after_answer for run in runs], share) for share in (0.5, 0.95, 0.99))
    whole = _figure([run.after_due for run in runs], 0.95)
    anchor = f"best published p95: {PUBLISHED_P95_S * 1000:g} ms"
    return [
        below(f"{name}: p50", p50, limit=P50_MS),
        below(f"{name}: p95", p95, limit=P95_MS, comparison=anchor, anchor=PUBLISHED_P95_S * 1000),
        Row(f"{name}: p99", p99),
        Row(f"{name}: p95 from the moment the publish was due", whole),
    ]


def _figure(runs: Sequence[Sequence[float]], share: float) -> Figure:
    return Figure(" ms", tuple(percentile(run, share) for run in runs))
