"""What the drain is compared with: the naive path, and libcurl with nothing around it."""

import json
import pickle
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import redis
from django.db import connection
from django.utils import timezone

from config import plans
from deliveries.engine.endpoints import EndpointCache, Sendable
from deliveries.models import Delivery
from dispatcher.http.curl_transfer import SWITCHED_OFF
from dispatcher.ids import Prefix, new_id, show
from dispatcher.profiles.frame import Message
from subscriptions.models import Endpoint
from subscriptions.services.endpoint_urls import target_rules
from tests.bench import ledger, naive, world
from tests.bench.bare_curl import Job
from tests.bench.processes import Process, ProcessFailed, module
from tests.bench.receivers import Receiver, start_receiver
from tests.bench.report import Figure, Report
from tests.bench.sizes import Sizes
from tests.bench.stage import DRAINS, Stage

Cost = TypeVar("Cost")

POLL_S = 0.05
NAIVE_S = 120.0
BARE_S = 120.0


@dataclass(frozen=True, slots=True)
class Naive:
    """Deliveries a second of the classic shape, with as many worker processes as the drain has."""

    tuned: Figure
    plain: Figure


def naive_path(stage: Stage, sizes: Sizes, report: Report) -> Naive:
    """Tuned, which is what the marks are held against, and as it is usually found."""
    return Naive(*(_naive_path(stage, sizes, report, is_tuned=is_tuned) for is_tuned in (True, False)))


def naive_costs(
    stage: Stage, sizes: Sizes, report: Report, measure: Callable[[Callable[[], object]], Cost]
) -> list[Cost]:
    """What `measure` says of each run of the tuned one, its publishing included."""
    with _naive_worker(stage, report, is_tuned=True) as (worker, receiver, broker):
        _naive_run(worker, receiver, broker, sizes)
        return [measure(lambda: _naive_run(worker, receiver, broker, sizes)) for _ in range(sizes.runs)]


def _naive_path(stage: Stage, sizes: Sizes, report: Report, *, is_tuned: bool) -> Figure:
    with _naive_worker(stage, report, is_tuned=is_tuned) as (worker, receiver, broker):
        rates = [_naive_run(worker, receiver, broker, sizes) for _ in range(sizes.runs + 1)][1:]
    return Figure("/s", tuple(rates))


@contextmanager
def _naive_worker(stage: Stage, report: Report, *, is_tuned: bool) -> Iterator[tuple[Process, Receiver, "redis.Redis"]]:
    stage.reset()
    receiver = start_receiver(stage)
    report.receiver = receiver.kind
    world.aim(receiver.port)
    worker = _start_worker(stage, is_tuned=is_tuned)
    with redis.Redis.from_url(stage.environment["REDIS_URL"]) as broker:
        yield worker, receiver, broker
    stage.processes.stop_all()


def bare_curl(stage: Stage, port: int, receivers: int, sizes: Sizes) -> Figure:
    """Processor time of one signed POST, the same bytes to the same receivers, in a loop that does nothing else."""
    path = stage.directory / "jobs.pickle"
    path.write_bytes(pickle.dumps(_jobs(receivers)))
    command = module("tests.bench.bare_curl", str(path), str(sizes.drain))
    found = []
    for run in range(sizes.runs):
        text = stage.processes.run(f"bare-curl-{port}-{receivers}-{run}", command, timeout_s=BARE_S)
        found.append(json.loads(text)["cpu_us"])
    return Figure(" µs", tuple(found))


def _start_worker(stage: Stage, *, is_tuned: bool) -> Process:
    ready_file = stage.directory / "naive.ready"
    command = [
        *module("celery", "--quiet", "--app", "tests.bench.naive", "worker", "--queues", naive.QUEUE),
        *("--hostname", "naive@%h", "--concurrency", str(DRAINS)),
        *("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"),
    ]
    ready_file.unlink(missing_ok=True)
    environment = {
        "SIGNET_READY_FILE": str(ready_file),
        "PYTHONWARNINGS": plans.QUIET,
        "NAIVE_IS_TUNED": "true" if is_tuned else "false",
    }
    process = stage.processes.start("naive", command, environment)
    stage.processes.wait_for(process, ready_file)
    return process


def _naive_run(worker: Process, receiver: Receiver, broker: "redis.Redis", sizes: Sizes) -> float:
    before = ledger.Ledger.read(received=receiver.count())
    world.publish_waiting(sizes.naive, merchants=sizes.naive_receivers)
    with connection.cursor() as cursor:
        # The queue is Redis here; the rows of ours would only be in the way.
        cursor.execute("TRUNCATE deliveries_laneentry")
    for delivery_id in Delivery.objects.filter(status="pending").values_list("id", flat=True):
        naive.app.send_task(naive.TASK, [str(delivery_id)], queue=naive.PARKED)
    world.vacuum()
    began = time.monotonic()
    broker.rename(naive.PARKED, naive.QUEUE)
    _wait_recorded(worker)
    elapsed = time.monotonic() - began
    found = ledger.Ledger.read(received=receiver.count()).since(before)
    ledger.check(found, published=sizes.naive, delivered=sizes.naive, received=sizes.naive)
    return sizes.naive / elapsed


def _wait_recorded(worker: Process) -> None:
    deadline = time.monotonic() + NAIVE_S
    while Delivery.objects.filter(status="pending").exists():
        worker.check()
        if time.monotonic() > deadline:
            raise ProcessFailed(f"the naive path had not finished after {NAIVE_S:g} s: {worker.tail()}")
        time.sleep(POLL_S)


def _jobs(receivers: int) -> list[Job]:
    """One signed request for each endpoint, as the drain makes it."""
    order = Endpoint.objects.order_by("owner_id").values_list("id", flat=True)[:receivers]
    versions = dict.fromkeys(order, 1)
    ready = EndpointCache(target_rules()).get_many(versions, now=timezone.now())
    return [_job(number, ready[endpoint_id].sendable) for number, endpoint_id in enumerate(versions)]


def _job(number: int, sendable: object) -> Job:
    if not isinstance(sendable, Sendable):
        raise ProcessFailed("an endpoint of the bench cannot be prepared")
    now = datetime.now(UTC)
    message = Message(
        event_id=show(Prefix.EVENT, new_id()),
        event_type=world.EVENT_TYPE,
        payload=world.payload(number),
        occurred_at=now,
        account=None,
        merchant=show(Prefix.MERCHANT, new_id()),
        delivery_id=show(Prefix.DELIVERY, new_id()),
        attempt=1,
        now=now,
    )
    rendered = sendable.render(message)
    lines = [f"{name}: {value}" for name, value in rendered.headers]
    return sendable.target.url, [*lines, *SWITCHED_OFF], rendered.body
