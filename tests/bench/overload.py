"""Overload: twenty times as many callers as the door lets wait, and how many of their publishes are taken meanwhile."""

from collections.abc import Sequence

from tests.bench import ledger, publish
from tests.bench.load import Answer, Load, LoadFailed, post
from tests.bench.processes import Process
from tests.bench.report import Figure, Report, Row, compared, percentile
from tests.bench.sizes import Sizes
from tests.bench.stage import Stage

MEGABYTE = 1024 * 1024


def bench(stage: Stage, sizes: Sizes, report: Report, key: str) -> None:
    """Rows: what is taken under overload against what is taken without, how soon the others are told, memory."""
    stage.reset()
    site = publish.make_site(stage)
    web = publish.start_web(stage, site)
    bodies = [publish.event(number, merchants=sizes.endpoints) for number in range(sizes.overload)]
    requests = [post(publish.EVENTS, body, key=key) for body in bodies]
    calm = publish.Series(web, site.port, each=1, runs=sizes.runs).run(requests[: sizes.singles], sizes.clients)
    rest = web.memory_bytes()
    runs = [_run(site.port, web, requests, sizes.overload_clients) for _ in range(sizes.runs + 1)][1:]
    stage.processes.stop(web)
    name = f"overload, {sizes.overload_clients} callers at once"
    taken, turned_away, told_ms, weight = (
        Figure(unit, values) for unit, values in zip(UNITS, zip(*runs, strict=True), strict=True)
    )
    report.rows += [
        compared(f"{name}: taken", taken, publish.figure(calm, "rate"), name=f"{sizes.clients} callers"),
        Row(f"{name}: told to come again", turned_away),
        Row(f"{name}: told so within, p95", told_ms),
        compared(f"{name}: memory of web", weight, Figure(" MB", (rest / MEGABYTE,)), name="before"),
    ]


UNITS = ("/s", "%", " ms", " MB")


def _run(port: int, web: Process, requests: Sequence[bytes], clients: int) -> tuple[float, float, float, float]:
    """Taken a second, percent told to come again, milliseconds until they were told, megabytes of web afterwards."""
    before = ledger.Ledger.read()
    load = Load(port, connections=clients)
    answers, elapsed = load.closed_loop(requests)
    load.close()
    taken = [answer for answer in answers if answer.status == 202]
    refused = [answer for answer in answers if answer.status == 503]
    if len(taken) + len(refused) != len(answers):
        raise LoadFailed("an answer that is neither 202 nor 503")
    ledger.check(ledger.Ledger.read().since(before), published=len(taken), delivered=0, received=0)
    told = percentile([_ms(answer) for answer in refused], 0.95) if refused else 0.0
    return len(taken) / elapsed, 100 * len(refused) / len(answers), told, web.memory_bytes() / MEGABYTE


def _ms(answer: Answer) -> float:
    return (answer.answered_at - answer.due_at) / 1e6
