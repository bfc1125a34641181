"""Neighbours: how long healthy receivers wait while others hang, and while one is flooded."""

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from config import plans
from deliveries.doorbell import wake
from deliveries.models import Delivery
from subscriptions.models import Endpoint
from tests.bench import drain, latency, ledger, world
from tests.bench.load import Load, post
from tests.bench.processes import Process, ProcessFailed
from tests.bench.publish import EVENTS, check_accepted, event, make_site
from tests.bench.receivers import Receiver, start_receiver, start_recorder
from tests.bench.report import Figure, Report, at_most, percentile
from tests.bench.sizes import Sizes
from tests.bench.stage import Stage

EACH_HUNG = 20
# Events for each receiver that hangs: more than its window, fewer than its lane would ever get rid of.
MOST_FACTOR = 2
SETTLE_S = 1.5
RECEIVED_S = 30.0


def bench(stage: Stage, sizes: Sizes, report: Report, key: str) -> None:
    """Rows: the healthy ones' 95th percentile with one and with many that hang, and with a flood, against none."""
    stage.reset()
    recorder = start_recorder(stage)
    flooded = start_receiver(stage)
    world.aim(recorder.port)
    with _hanging() as port:
        first_hung, flood = sizes.neighbours_receivers, sizes.neighbours_receivers + sizes.hung_receivers
        world.aim_some(range(first_hung, flood), port)
        world.aim_some([flood], flooded.port)
        site = make_site(stage)
        worker = _start(stage, site)
        load = Load(site.port, connections=latency.CONNECTIONS)
        requests = [
            post(EVENTS, event(number, merchants=sizes.neighbours_receivers), key=key)
            for number in range(sizes.neighbours)
        ]
        measure = Measure(load, recorder, worker, requests, sizes)
        measure.once()
        alone = measure.runs()
        rows = []
        for hung in (1, sizes.hung_receivers):
            _publish_to(range(first_hung, first_hung + hung), each=EACH_HUNG)
            rows.append((f"with {hung} that {'hangs' if hung == 1 else 'hang'}", measure.runs()))
        rows.append((f"with {sizes.flood:,} waiting for one", [_flooded(measure, flood, sizes) for _ in alone]))
        load.close()
        stage.processes.stop_all()
    for what, found in rows:
        name = f"neighbours, p95 of {sizes.neighbours_receivers} healthy receivers {what}"
        usual = Figure(" ms", tuple(alone))
        report.rows.append(at_most(name, Figure(" ms", tuple(found)), usual, name="alone", factor=MOST_FACTOR))


def _start(stage: Stage, site: plans.Site) -> Process:
    return latency.start_platform(stage, site)


class Measure:
    """Steady events to the healthy ones; each must arrive once."""

    def __init__(
        self, load: Load, recorder: Receiver, worker: Process, requests: Sequence[bytes], sizes: Sizes
    ) -> None:
        self._load, self._recorder, self._worker = load, recorder, worker
        self._requests, self._sizes = requests, sizes

    def runs(self) -> list[float]:
        return [self.once() for _ in range(self._sizes.runs)]

    def once(self, *, is_settled: bool = False) -> float:
        """The 95th percentile in milliseconds, from the publisher's answer to the receiver."""
        if not is_settled:
            time.sleep(SETTLE_S)
        answers = self._load.open_loop(self._requests, rate=self._sizes.neighbours_rate)
        check_accepted(answer.status for answer in answers)
        records: list[tuple[int, str]] = []
        deadline = time.monotonic() + RECEIVED_S
        while len(records) < len(self._requests) and time.monotonic() < deadline:
            self._worker.check()
            records += self._recorder.records()
            time.sleep(0.1)
        received = latency.numbered(records)
        if len(received) != len(self._requests) or len(dict(received)) != len(received):
            raise ledger.Void(
                f"{len(received)} of {len(self._requests)} events arrived, {len(dict(received))} of them once"
            )
        return percentile(latency.delays(answers, dict(received)).after_answer, 0.95)


def _flooded(measure: Measure, number: int, sizes: Sizes) -> float:
    """While a merchant's flood leaves, or afterwards where it leaves sooner than the events come."""
    before = Delivery.objects.filter(status="delivered").count()
    world.publish_waiting(sizes.flood, merchants=1, first_merchant=number)
    wake(Endpoint.objects.filter(owner__reference=world.reference(number)).values_list("id", flat=True))
    found = measure.once(is_settled=True)
    deadline = time.monotonic() + drain.DRAIN_S
    while Delivery.objects.filter(status="delivered").count() < before + sizes.flood + sizes.neighbours:
        if time.monotonic() > deadline:
            raise ProcessFailed("the flood did not leave")
        time.sleep(0.5)
    return found


def _publish_to(numbers: Sequence[int], *, each: int) -> None:
    for number in numbers:
        world.publish_waiting(each, merchants=1, first_merchant=number)
    references = [world.reference(number) for number in numbers]
    wake(Endpoint.objects.filter(owner__reference__in=references).values_list("id", flat=True))


@contextmanager
def _hanging() -> Iterator[int]:
    """A port that takes connections, as the kernel does by itself, and never answers."""
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))
        listener.listen(4096)
        yield int(listener.getsockname()[1])
