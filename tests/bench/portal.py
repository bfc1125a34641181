"""The portal's pages for one merchant with a million deliveries: how long the server takes for each."""

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.utils import timezone

from dispatcher.ids import Prefix, show
from dispatcher.latencies import CLASSES
from subscriptions.models import Endpoint, Membership, Merchant
from tests.bench.report import Figure, Report, below, percentile
from tests.bench.sizes import Sizes
from tests.bench.stage import Stage

ASKED = 40
# Times that each page is asked for in a run, after WARM_UP.
WARM_UP = 5
MOST_MS = 100
DAYS = 30
TYPES = ("invoice.paid", "invoice.sent", "payment.failed", "payment.succeeded", "payout.paid")
RARE = 10_000
# One delivery in so many has failed, one in so many more was held; none was cancelled.

MS = "(extract(epoch FROM at) * 1000)::bigint"
ID = f"(lpad(to_hex({MS}), 12, '0') || '7000' || '8' || lpad(to_hex(n), 15, '0'))::uuid"
ROWS = f"""
CREATE TEMPORARY TABLE seeded AS
SELECT {ID} AS id, n, at, (%(endpoints)s::uuid[])[1 + n %% 3] AS endpoint_id, (%(types)s::text[])[1 + n %% 5] AS type,
    CASE WHEN n %% %(rare)s = 7 THEN 'failed' WHEN n %% (3 * %(rare)s) = 11 THEN 'held' ELSE 'delivered' END AS status,
    'account-' || n %% 1000 AS account
FROM (
    SELECT n, %(now)s - make_interval(secs => (%(count)s - n) * %(step_s)s + 60) AS at
    FROM generate_series(1, %(count)s) n
) numbered
"""
EVENTS = """
INSERT INTO deliveries_event (id, merchant_id, type, account, payload, is_test, external_id, occurred_at, created_at)
SELECT id, %(owner)s, type, account, convert_to('{"number": ' || n || '}', 'UTF8'), FALSE,
    CASE WHEN n %% 2 = 0 THEN 'order-' || n END, at, at
FROM seeded
"""
LOG = """
INSERT INTO deliveries_delivery (id, event_id, endpoint_id, owner_id, event_type, account, status, attempts_made,
    attempts_counted, last_reason, last_status, last_attempt_at, finished_at, created_at)
SELECT id, id, endpoint_id, %(owner)s, type, account, status, (status <> 'held')::int, (status <> 'held')::int,
    CASE status WHEN 'delivered' THEN 'delivered' WHEN 'failed' THEN 'http_server_error' END,
    CASE status WHEN 'delivered' THEN 200 WHEN 'failed' THEN 503 END,
    CASE WHEN status <> 'held' THEN at END, CASE WHEN status <> 'held' THEN at END, at
FROM seeded
"""
ATTEMPTS = """
INSERT INTO deliveries_attempt (id, delivery_id, number, trigger, is_counted, reason, leaves, url, request_headers,
    response_status, response_headers, response_body, is_response_truncated, body_error, detail, peer, total_ms,
    started_at)
SELECT id, id, 1, 'event', TRUE, CASE status WHEN 'delivered' THEN 'delivered' ELSE 'http_server_error' END, status,
    'https://shop.example/in', 'Content-Type: application/json', CASE status WHEN 'delivered' THEN 200 ELSE 503 END,
    'Content-Type: application/json', convert_to('{"received": true}', 'UTF8'), FALSE, '', '', '', 42, at
FROM seeded WHERE status <> 'held'
"""
COUNTS = """
INSERT INTO deliveries_hourlycount (id, hour, endpoint_id, owner_id, event_type, attempts, delivered, failed, latencies)
SELECT gen_random_uuid(), date_trunc('hour', at, 'UTC'), endpoint_id, %(owner)s, type, count(*),
    count(*) FILTER (WHERE status = 'delivered'), count(*) FILTER (WHERE status = 'failed'),
    array_fill(0::bigint, ARRAY[4]) || count(*) FILTER (WHERE status = 'delivered')
        || array_fill(0::bigint, ARRAY[%(classes)s - 5])
FROM seeded WHERE status <> 'held' GROUP BY 2, 3, 5
"""


def bench(stage: Stage, sizes: Sizes, report: Report) -> None:
    """Rows: the 95th percentile of each page, which shall be under MOST_MS."""
    stage.reset()
    now = timezone.now()
    shop, endpoints = _shop(now)
    _seed(shop, endpoints, count=sizes.portal, now=now)
    client = Client(SERVER_NAME="localhost")
    client.force_login(User.objects.get(username="bench"))
    for name, address in _pages(shop, endpoints).items():
        runs = [_ask(client, address) for _ in range(sizes.runs)]
        p50, p95 = (_figure(runs, share) for share in (0.5, 0.95))
        report.rows.append(
            below(f"portal, {sizes.portal:,} deliveries: {name}: p95", p95, limit=MOST_MS, comparison=f"p50: {p50}")
        )


def _shop(now: datetime) -> tuple[Merchant, list[Endpoint]]:
    stamps = {"created_at": now, "updated_at": now}
    shop = Merchant.objects.create(name="Shop", reference="shop", **stamps)
    user = User.objects.create_user("bench")
    Membership.objects.create(merchant=shop, user=user, role="owner", **stamps)
    rows = [Endpoint(owner=shop, target=f"https://{n}.shop.example/in", **stamps) for n in range(3)]
    return shop, Endpoint.objects.bulk_create(rows)


def _seed(shop: Merchant, endpoints: Sequence[Endpoint], *, count: int, now: datetime) -> None:
    params: dict[str, Any] = {
        "owner": shop.id,
        "endpoints": [row.id for row in endpoints],
        "types": list(TYPES),
        "rare": RARE,
        "now": now,
        "count": count,
        "step_s": DAYS * 86_400 / count,
        "classes": CLASSES,
    }
    with connection.cursor() as cursor:
        for statement in (ROWS, EVENTS, LOG, ATTEMPTS, COUNTS):
            cursor.execute(statement, params)
        cursor.execute("DROP TABLE seeded")
        cursor.execute(
            "VACUUM (ANALYZE) deliveries_event, deliveries_delivery, deliveries_attempt, deliveries_hourlycount"
        )


def _pages(shop: Merchant, endpoints: Sequence[Endpoint]) -> dict[str, str]:
    """Each by a name for the table."""
    home = f"/portal/{shop.public_id}/"
    endpoint = f"{home}endpoints/{endpoints[0].public_id}/"
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM deliveries_delivery ORDER BY id DESC OFFSET 1000 LIMIT 1")
        [(row_id,)] = cursor.fetchall()
    delivery = show(Prefix.DELIVERY, row_id)
    return {
        "overview": home,
        "overview of 30 days": f"{home}?period=30d",
        "endpoints": f"{home}endpoints/",
        "endpoint": endpoint,
        "log": f"{home}log/",
        "log, status that most have": f"{home}log/?status=delivered",
        "log, status that is rare": f"{home}log/?status=failed",
        "log, status that none has": f"{home}log/?status=cancelled",
        "log, event type": f"{home}log/?type=payout.paid",
        "log, event type that none has": f"{home}log/?type=no.such",
        "log, endpoint": f"{home}log/?endpoint={endpoints[1].public_id}",
        "log, endpoint and status that is rare": f"{home}log/?endpoint={endpoints[1].public_id}&status=failed",
        "log, account": f"{home}log/?account=account-77",
        "log, account that none has": f"{home}log/?account=none",
        "log, last 30 days and status that none has": f"{home}log/?range=30d&status=cancelled",
        "log, last hour": f"{home}log/?range=1h",
        "log, deep": f"{home}log/?before={show(Prefix.DELIVERY, _deep())}",
        "log, search by a delivery's id": f"{home}log/?q={delivery}",
        "log, search by the beginning of an event's id": f"{home}log/?q={show(Prefix.EVENT, row_id)[:14]}",
        "log, search by the provider's id": f"{home}log/?q=order-4712",
        "log with its panel": f"{home}log/?open={delivery}",
    }


def _deep() -> UUID:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM deliveries_delivery ORDER BY id LIMIT 1 OFFSET 5000")
        [(row_id,)] = cursor.fetchall()
        return UUID(str(row_id))


def _ask(client: Client, address: str) -> list[float]:
    """Milliseconds from the request to the whole answer, in this process."""
    taken = []
    for number in range(WARM_UP + ASKED):
        began = time.perf_counter()
        answer = client.get(address, secure=True, headers={"Accept-Encoding": "gzip"})
        spent = (time.perf_counter() - began) * 1000
        if answer.status_code != 200:
            raise AssertionError(f"{address} answered {answer.status_code}")
        if number >= WARM_UP:
            taken.append(spent)
    return taken


def _figure(runs: Sequence[Sequence[float]], share: float) -> Figure:
    return Figure(" ms", tuple(percentile(run, share) for run in runs))
