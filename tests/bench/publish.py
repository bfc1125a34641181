"""Publish: events through the HTTP API of the real web process, one by one and in batches, with no worker running."""

import http.client
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from config import plans
from config.children import Plan
from config.supervisor import probe
from tests.bench import ledger, postgres, world
from tests.bench.load import Load, LoadFailed, post
from tests.bench.processes import Process, ProcessFailed
from tests.bench.receivers import HOST, free_port
from tests.bench.report import Figure, Report, Row, at_least, compared
from tests.bench.sizes import Sizes
from tests.bench.stage import DRAINS, Stage

EVENTS = "/api/v2/events"
BATCH = "/api/v2/events/batch"
READY_S = 60.0
BARE_APP = "tests.bench.bare_wsgi:application"
FRAMEWORK, PLAIN = "/framework/events", "/plain/events"
ONE_BY_ONE = "single events, one client, one after the other"


def bench(stage: Stage, sizes: Sizes, report: Report, key: str) -> None:
    """Rows: single events against the bare frameworks, batches against single events."""
    bodies = [event(number, merchants=sizes.endpoints) for number in range(sizes.singles)]
    singles = [post(EVENTS, body, key=key) for body in bodies]
    framework, plain = (
        _bare(stage, [post(path, body, key=key) for body in bodies], sizes) for path in (FRAMEWORK, PLAIN)
    )
    stage.reset()
    site = make_site(stage)
    web = start_web(stage, site)
    batches = [post(BATCH, batch(number, sizes), key=key) for number in range(sizes.batches)]
    single = Series(web, site.port, each=1, runs=sizes.runs)
    crowd, alone = single.run(singles, sizes.clients), single.run(singles[: sizes.singles_alone], 1)
    bulk = Series(web, site.port, each=sizes.batch_events, runs=sizes.runs)
    batched, batched_alone = bulk.run(batches, sizes.batch_clients), bulk.run(batches[: sizes.batches_alone], 1)
    stage.processes.stop(web)
    report.rows += [
        *_single_rows(f"publish, single events, {sizes.clients} clients", crowd, framework, plain),
        *_batch_rows(f"publish, batches of {sizes.batch_events}", sizes, batched, batched_alone, crowd, alone),
    ]


@dataclass(frozen=True, slots=True)
class Run:
    """Events a second, and microseconds of processors for each: of the web processes, and of PostgreSQL's."""

    rate: float
    web_us: float
    postgres_us: float


@dataclass(frozen=True, slots=True)
class Series:
    """Runs against one web process; a request holds `each` events."""

    web: Process
    port: int
    each: int
    runs: int
    is_balanced: bool = True

    def run(self, requests: Sequence[bytes], clients: int) -> list[Run]:
        """One for warm-up, then those that count."""
        load = Load(self.port, connections=clients)
        found = [self._one(load, requests) for _ in range(self.runs + 1)][1:]
        load.close()
        return found

    def _one(self, load: Load, requests: Sequence[bytes]) -> Run:
        before, count = ledger.Ledger.read(), len(requests) * self.each
        cpu_s, postgres_s = self.web.cpu_s(), postgres.cpu_s()
        answers, elapsed = load.closed_loop(requests)
        cpu_s, postgres_s = self.web.cpu_s() - cpu_s, postgres.cpu_s() - postgres_s
        check_accepted(answer.status for answer in answers)
        if self.is_balanced:
            ledger.check(ledger.Ledger.read().since(before), published=count, delivered=0, received=0)
            ledger.check_entries()
        return Run(count / elapsed, cpu_s / count * 1e6, postgres_s / count * 1e6)


def _single_rows(name: str, found: Sequence[Run], framework: Sequence[Run], plain: Sequence[Run]) -> list[Row]:
    rates = figure(found, "rate")
    return [
        at_least(name, rates, figure(framework, "rate"), name="bare DRF, one INSERT", factor=0.8),
        compared(f"{name}: against Django alone", rates, figure(plain, "rate"), name="bare Django, one INSERT"),
        *(
            compared(f"{name}: CPU of {whose}", figure(found, field), figure(framework, field), name="bare DRF")
            for whose, field in (("web", "web_us"), ("PostgreSQL", "postgres_us"))
        ),
    ]


def _batch_rows(
    name: str, sizes: Sizes, found: Sequence[Run], alone: Sequence[Run], crowd: Sequence[Run], one: Sequence[Run]
) -> list[Row]:
    rates = figure(found, "rate")
    return [
        at_least(f"{name}, one client", figure(alone, "rate"), figure(one, "rate"), name=ONE_BY_ONE, factor=15),
        compared(
            f"{name}, {sizes.batch_clients} clients",
            rates,
            figure(crowd, "rate"),
            name=f"single events, {sizes.clients} clients",
        ),
        Row(f"{name}, {sizes.batch_clients} clients: CPU of web", figure(found, "web_us")),
        Row(f"{name}, {sizes.batch_clients} clients: CPU of PostgreSQL", figure(found, "postgres_us")),
    ]


def figure(found: Sequence[Run], field: str) -> Figure:
    return Figure("/s" if field == "rate" else " µs", tuple(getattr(run, field) for run in found))


def make_site(stage: Stage) -> plans.Site:
    return plans.Site(HOST, free_port(), DRAINS, stage.directory, {})


def start_web(stage: Stage, site: plans.Site, *, app: str = "") -> Process:
    """The web process as `manage.py serve` starts it; `app` may put another WSGI application in its place."""
    (plan,) = [plan for plan in plans.platform(site) if plan.name == "web"]
    command = _wsgi_command(plan, app) if app else plan.command
    web = stage.processes.start_plan(Plan(plan.name, command, plan.environment))
    deadline = time.monotonic() + READY_S
    while not (_answers(site.port) if app else probe(HOST, site.port)):
        web.check()
        if time.monotonic() > deadline:
            raise ProcessFailed(f"web does not answer: {web.tail()}")
        time.sleep(0.1)
    return web


def event(number: int, *, merchants: int) -> bytes:
    """The body of one publish; the merchants take turns."""
    merchant = world.reference(number % merchants)
    head = f'{{"type":"{world.EVENT_TYPE}","merchant":"{merchant}","payload":'
    return head.encode() + world.payload(number) + b"}"


def batch(number: int, sizes: Sizes) -> bytes:
    first = number * sizes.batch_events
    return (
        b'{"events":['
        + b",".join(event(first + n, merchants=sizes.endpoints) for n in range(sizes.batch_events))
        + b"]}"
    )


def _bare(stage: Stage, requests: Sequence[bytes], sizes: Sizes) -> list[Run]:
    """The same requests to a bare view on the same server."""
    stage.reset()
    site = make_site(stage)
    web = start_web(stage, site, app=BARE_APP)
    found = Series(web, site.port, each=1, runs=sizes.runs, is_balanced=False).run(requests, sizes.clients)
    stage.processes.stop(web)
    return found


def check_accepted(statuses: Iterable[int]) -> None:
    refused = [status for status in statuses if status != 202]
    if refused:
        raise LoadFailed(f"{len(refused)} publishes were not accepted, the first with {refused[0]}")


def _wsgi_command(plan: Plan, app: str) -> tuple[str, ...]:
    """The same server with the application on its own threads, which is the fastest way to run a WSGI application."""
    server = [part if part != "rsgi" else "wsgi" for part in plan.command[:-1]]
    return (*server, "--blocking-threads", plan.environment["SIGNET_WEB_THREADS"], app)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == 404
    except OSError:
        return False
    finally:
        connection.close()
