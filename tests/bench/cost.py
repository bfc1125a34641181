"""Cost: bytes, commits and Redis commands of one delivery from publish to record, and what the processes weigh."""

from collections.abc import Callable
from dataclasses import dataclass

import redis

from tests.bench import drain, postgres, publish, rivals, world
from tests.bench.load import Load, post
from tests.bench.processes import Process
from tests.bench.report import Figure, Report, Row, compared
from tests.bench.sizes import Sizes
from tests.bench.stage import Stage

MERCHANTS = 100
MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one delivery."""

    wal_bytes: float
    table_bytes: float
    index_bytes: float
    redis_commands: float


def bench(stage: Stage, sizes: Sizes, report: Report, key: str) -> None:
    """Rows: ours against the naive path over the same tables, and memory at rest and under load."""
    receiver = drain.begin(stage, report)
    worker = stage.processes.start_plan(drain.drain_plan(stage))
    drain.drain(worker, receiver, count=sizes.drain // 10, merchants=MERCHANTS)
    rest = worker.memory_bytes()
    ours = [
        _of(stage, sizes.drain, lambda: drain.drain(worker, receiver, count=sizes.drain, merchants=MERCHANTS))
        for _ in range(sizes.runs)
    ]
    loaded = worker.memory_bytes()
    stage.processes.stop_all()
    naive = rivals.naive_costs(stage, sizes, report, lambda run: _of(stage, sizes.naive, run))
    web = _web_memory(stage, sizes, key)
    report.rows += _rows(ours, naive)
    report.rows += [
        compared("memory of the drain node", *_pair(loaded, rest), name="at rest"),
        compared("memory of web", *_pair(*web), name="at rest"),
    ]


def _of(stage: Stage, count: int, run: Callable[[], object]) -> Cost:
    """From before the events are published until the last row is recorded. The sizes say what is left on disk once
    autovacuum has been there: what is dead by then has made room for others."""
    with redis.Redis.from_url(stage.environment["REDIS_URL"]) as client:
        world.vacuum()
        before, commands = postgres.Spent.read(), _commands(client)
        run()
        commands = _commands(client) - commands
        spent = postgres.Spent.read().since(before)
    return Cost(*(one / count for one in (spent.wal_bytes, spent.table_bytes, spent.index_bytes, commands)))


def _commands(client: "redis.Redis") -> int:
    return int(client.info("stats")["total_commands_processed"])


def _rows(ours: list[Cost], naive: list[Cost]) -> list[Row]:
    what = {
        "wal_bytes": ("write-ahead log of a delivery", " bytes"),
        "table_bytes": ("tables' growth of a delivery", " bytes"),
        "index_bytes": ("indexes' growth of a delivery", " bytes"),
        "redis_commands": ("Redis commands of a delivery", ""),
    }
    return [
        compared(name, _figure(ours, field, unit), _figure(naive, field, unit), name="naive")
        for field, (name, unit) in what.items()
    ]


def _figure(costs: list[Cost], field: str, unit: str) -> Figure:
    return Figure(unit, tuple(max(0.001, getattr(cost, field)) for cost in costs))


def _pair(loaded: int, rest: int) -> tuple[Figure, Figure]:
    return Figure(" MB", (loaded / MEGABYTE,)), Figure(" MB", (rest / MEGABYTE,))


def _web_memory(stage: Stage, sizes: Sizes, key: str) -> tuple[int, int]:
    """Under load, and before it."""
    stage.reset()
    site = publish.make_site(stage)
    web: Process = publish.start_web(stage, site)
    rest = web.memory_bytes()
    load = Load(site.port, connections=sizes.clients)
    bodies = [publish.event(number, merchants=sizes.endpoints) for number in range(sizes.singles)]
    load.closed_loop([post(publish.EVENTS, body, key=key) for body in bodies])
    load.close()
    loaded = web.memory_bytes()
    stage.processes.stop(web)
    return loaded, rest
