"""Workers: the same drain with one, two and four processes, and whose processors it costs."""

from dataclasses import replace

from tests.bench import drain, rivals
from tests.bench.report import Figure, Report, Row, compared
from tests.bench.sizes import Sizes
from tests.bench.stage import Stage

MERCHANTS = 100


def bench(stage: Stage, sizes: Sizes, report: Report) -> None:
    """Rows: the rate of each number of processes against one, and the processor time of worker and PostgreSQL."""
    receiver = drain.begin(stage, report)
    runs = {}
    for count in sizes.worker_processes:
        plan = drain.drain_plan(stage, drains=count)
        runs[count] = drain.series(stage, plan, receiver, sizes.drain, MERCHANTS, sizes.runs, drains=count)
    bare = rivals.bare_curl(stage, receiver.port, MERCHANTS, replace(sizes, runs=1))
    stage.processes.stop_all()
    one = drain.rates(runs[sizes.worker_processes[0]])
    for count, found in runs.items():
        name = f"drain with {count} {'process' if count == 1 else 'processes'}"
        report.rows += [
            compared(name, drain.rates(found), one, name="one process"),
            compared(f"{name}: worker CPU", drain.costs(found), bare, name="bare CurlMulti"),
            Row(f"{name}: PostgreSQL's CPU", drain.postgres_costs(found)),
            Row(f"{name}: processors that PostgreSQL keeps busy", _busy(found)),
        ]


def _busy(found: list[drain.Run]) -> Figure:
    """Processor seconds a second: where it comes near to the machine's number, PostgreSQL is the limit."""
    return Figure("", tuple(run.rate * run.postgres_us / 1e6 for run in found))
