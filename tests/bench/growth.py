"""History: pages, publishing and draining over a log that has grown tenfold, against the same before.

The log is made of copies of deliveries that were really made, so that it has what a log has in every column.
"""

import http.client
import time
from collections.abc import Mapping, Sequence
from uuid import UUID

from django.db import connection, models

from deliveries.models import Attempt, Delivery, Event
from dispatcher.ids import Prefix, parse
from subscriptions.models import Merchant
from tests.bench import drain, publish, world
from tests.bench.load import LoadFailed, post
from tests.bench.processes import Process
from tests.bench.receivers import HOST
from tests.bench.report import Figure, Report, Row, at_least, at_most, below, percentile
from tests.bench.sizes import Sizes
from tests.bench.stage import Stage

MODELS = 1_000
# Deliveries that are copied.
FAILED_EACH = 100
# One in so many has failed.
COPIES_AT_ONCE = 100
PAGE_MS = 20
MOST_FACTOR = 2
RATE_FACTOR = 0.9
LOG = "/api/v2/webhooks/events"

NUMBERED = """
CREATE TEMPORARY TABLE copied AS
SELECT *, (left(new_event::text, 33) || '001')::uuid AS new_delivery FROM (
    SELECT d.event_id AS old_event, d.id AS old_delivery, uuidv7() AS new_event
    FROM deliveries_delivery d CROSS JOIN generate_series(1, %s)
    WHERE d.event_id IN (SELECT id FROM deliveries_event ORDER BY id LIMIT %s)
    OFFSET 0
) n
"""


def bench(stage: Stage, sizes: Sizes, report: Report, key: str) -> None:
    """Rows: each page before and after, and the rates."""
    receiver = drain.begin(stage, report)
    worker = stage.processes.start_plan(drain.drain_plan(stage))
    drain.drain(worker, receiver, count=MODELS, merchants=100)
    with connection.cursor() as cursor:
        cursor.execute("SELECT array_agg(id) FROM (SELECT id FROM deliveries_delivery ORDER BY id) d")
        ids: list[UUID] = (cursor.fetchone() or ([],))[0]
    failed = ids[::FAILED_EACH]
    Delivery.objects.filter(id__in=failed).update(status="failed")
    Attempt.objects.filter(delivery_id__in=failed).update(leaves="failed", reason="http_server_error")
    site = publish.make_site(stage)
    web = publish.start_web(stage, site)
    found = []
    held = MODELS
    for size in sizes.history:
        _grow(size - held)
        held = size
        requests = [post(publish.EVENTS, publish.event(n, merchants=100), key=key) for n in range(sizes.singles)]
        rate = publish.figure(_publishes(web, site.port, requests, sizes), "rate")
        drain.ring()
        drain.wait_until_none(drain.WAITING, worker)
        runs = [drain.drain(worker, receiver, count=sizes.drain, merchants=100) for _ in range(sizes.runs)]
        found.append((_pages(site.port, key, sizes), rate, drain.rates(runs)))
    stage.processes.stop_all()
    report.rows += _rows(sizes, *found)


def _publishes(web: Process, port: int, requests: Sequence[bytes], sizes: Sizes) -> list[publish.Run]:
    """The worker drains meanwhile, so the books are closed after it."""
    return publish.Series(web, port, each=1, runs=sizes.runs, is_balanced=False).run(requests, sizes.clients)


Found = tuple[dict[str, Figure], Figure, Figure]


def _rows(sizes: Sizes, before: Found, after: Found) -> list[Row]:
    small, large = sizes.history
    name, usual = f"history of {large:,}", f"at {small:,}"
    rows = []
    for page, figure in after[0].items():
        rows.append(below(f"{name}: {page}, p95", figure, limit=PAGE_MS))
        rows.append(at_most(f"{name}: {page}, growth", figure, before[0][page], name=usual, factor=MOST_FACTOR))
    rows.append(at_least(f"{name}: publish", after[1], before[1], name=usual, factor=RATE_FACTOR))
    rows.append(at_least(f"{name}: drain to 100 receivers", after[2], before[2], name=usual, factor=RATE_FACTOR))
    return rows


def _grow(count: int) -> None:
    """Copies of the first deliveries, with ids of their own. Statistics are not copied."""
    while count > 0:
        copies = min(COPIES_AT_ONCE, max(1, count // MODELS))
        with connection.cursor() as cursor:
            cursor.execute(NUMBERED, [copies, MODELS])
            for statement in (
                _copy(Event, {"id": "c.new_event"}, "t.id = c.old_event"),
                _copy(Delivery, {"id": "c.new_delivery", "event_id": "c.new_event"}, "t.id = c.old_delivery"),
                _copy(Attempt, {"id": "uuidv7()", "delivery_id": "c.new_delivery"}, "t.delivery_id = c.old_delivery"),
                "DROP TABLE copied",
            ):
                cursor.execute(statement)
        count -= copies * MODELS
    world.vacuum()


def _copy(model: type[models.Model], changed: Mapping[str, str], which: str) -> str:
    columns = [field.column for field in model._meta.concrete_fields]
    values = [changed.get(str(column), f't."{column}"') for column in columns]
    names = ", ".join(f'"{column}"' for column in columns)
    table = model._meta.db_table
    return f"INSERT INTO {table} ({names}) SELECT {', '.join(values)} FROM {table} t JOIN copied c ON {which}"


def _pages(port: int, key: str, sizes: Sizes) -> dict[str, Figure]:
    """Milliseconds at the 95th percentile of each run."""
    merchants = [world.reference(number) for number in range(100)]
    event = Event.objects.order_by("id")[MODELS // 2].public_id
    paths = {
        "newest 50": [f"{LOG}?merchant={one}" for one in merchants],
        "status=failed": [f"{LOG}?merchant={one}&status=failed" for one in merchants],
        "one type": [f"{LOG}?merchant={one}&event_type={world.EVENT_TYPE}" for one in merchants],
        "an event": [f"{LOG}/{event}?merchant={_owner(event)}"],
    }
    return {
        name: Figure(" ms", tuple(_p95(port, key, asked, sizes.history_pages) for _ in range(sizes.runs)))
        for name, asked in paths.items()
    }


def _owner(event: str) -> str:
    merchant_id = Event.objects.get(id=parse(Prefix.EVENT, event)).merchant_id
    return str(Merchant.objects.get(id=merchant_id).reference)


def _p95(port: int, key: str, paths: Sequence[str], count: int) -> float:
    http_connection = http.client.HTTPConnection(HOST, port, timeout=30)
    took = []
    for number in range(count):
        began = time.monotonic()
        http_connection.request("GET", paths[number % len(paths)], headers={"Authorization": f"Bearer {key}"})
        answer = http_connection.getresponse()
        answer.read()
        took.append((time.monotonic() - began) * 1000)
        if answer.status != 200:
            raise LoadFailed(f"{paths[number % len(paths)]} was answered with {answer.status}")
    http_connection.close()
    return percentile(took, 0.95)
