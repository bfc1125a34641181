"""Publish: events through the HTTP API of the real web process, one by one and in batches, with no worker running."""

import http.client
import time
from collections.abc import Iterable, Sequence

from config import plans
from config.children import Plan
from config.supervisor import probe
from tests.bench import ledger, world
from tests.bench.load import Load, LoadFailed, post
from tests.bench.processes import Process, ProcessFailed
from tests.bench.receivers import HOST, free_port
from tests.bench.report import Figure, Report, at_least
from tests.bench.sizes import Sizes
from tests.bench.stage import DRAINS, Stage

EVENTS = "/api/v2/events"
BATCH = "/api/v2/events/batch"
READY_S = 60.0
BARE_APP = "tests.bench.bare_wsgi:application"
WARM_UP_SHARE = 4


def bench(stage: Stage, sizes: Sizes, report: Report, key: str) -> None:
    """Rows: single events against the bare framework, batches against single events."""
    stage.reset()
    singles = [post(EVENTS, event(number, merchants=sizes.endpoints), key=key) for number in range(sizes.singles)]
    bare = _bare(stage, singles, sizes)
    stage.reset()
    site = make_site(stage)
    web = start_web(stage, site)
    rates = _series(site.port, singles, sizes.clients, sizes.runs, each=1)
    batches = [post(BATCH, batch(number, sizes), key=key) for number in range(sizes.batches)]
    batch_rates = _series(site.port, batches, sizes.batch_clients, sizes.runs, each=sizes.batch_events)
    stage.processes.stop(web)
    name = f"publish, single events, {sizes.clients} clients"
    report.rows.append(at_least(name, rates, bare, name="bare Django, one INSERT", factor=0.8))
    name = f"publish, batches of {sizes.batch_events}, {sizes.batch_clients} clients"
    report.rows.append(at_least(name, batch_rates, rates, name="single events", factor=15))


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


def _bare(stage: Stage, requests: Sequence[bytes], sizes: Sizes) -> Figure:
    """The same requests to a plain Django view on the same server."""
    site = make_site(stage)
    web = start_web(stage, site, app=BARE_APP)
    load = Load(site.port, connections=sizes.clients)
    rates = [_run(load, requests, each=1) for _ in range(sizes.runs + 1)][1:]
    load.close()
    stage.processes.stop(web)
    return Figure("/s", tuple(rates))


def _series(port: int, requests: Sequence[bytes], clients: int, runs: int, *, each: int) -> Figure:
    load = Load(port, connections=clients)
    _checked_run(load, requests[: len(requests) // WARM_UP_SHARE], each=each)
    rates = [_checked_run(load, requests, each=each) for _ in range(runs)]
    load.close()
    return Figure("/s", tuple(rates))


def _checked_run(load: Load, requests: Sequence[bytes], *, each: int) -> float:
    before = ledger.Ledger.read()
    rate = _run(load, requests, each=each)
    count = len(requests) * each
    ledger.check(ledger.Ledger.read().since(before), published=count, delivered=0, received=0)
    ledger.check_entries()
    return rate


def _run(load: Load, requests: Sequence[bytes], *, each: int) -> float:
    answers, elapsed = load.closed_loop(requests)
    check_accepted(answer.status for answer in answers)
    return len(requests) * each / elapsed


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
