"""`python -m tests.bench.history`: how long reading takes over a long history, and what a delivery costs on disk.

It fills its own Postgres, durable as in production, with a made-up history. With --database it measures in a database
that has one already. Times are those of the server alone: requests are handed to Django without a network.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from tests.bench.stage import open_stage

WARM_UP, REQUESTS = 20, 200
PUBLISHED = 10_000
BATCH = 500
LINE = "{:<64} {:>8} {:>8} {:>8}"
# Columns: what, median, 95th percentile and maximum in ms.


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.history", description=__doc__)
    parser.add_argument("--deliveries", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=88)
    parser.add_argument("--database", default="", help="URL of a database that has a history already")
    options = parser.parse_args()
    if options.database:
        os.environ |= {"DATABASE_URL": options.database, "DEBUG": "true", "REDIS_URL": "redis://127.0.0.1:1/0"}
        os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
        import django

        django.setup()
        _measure()
        return
    with open_stage():
        from django.core.management import call_command

        call_command("seed_history", deliveries=options.deliveries, days=options.days)
        _measure()


def _measure() -> None:
    from django.conf import settings

    settings.DEBUG = False
    settings.ALLOWED_HOSTS = ["testserver"]
    _say(LINE.format("request", "median", "p95", "max"))
    for what, ask in _requests():
        _say(_timed(what, ask))
    _say("", *_cost())


def _requests() -> list[tuple[str, Callable[[int], Any]]]:
    """What a merchant's page asks for; of a large, a middling and a small merchant in turn."""
    from django.test import Client

    from deliveries.models import Delivery, Event
    from subscriptions.models import Endpoint, Merchant
    from subscriptions.services import keys

    merchants = list(Merchant.objects.filter(reference__startswith="history-").order_by("created_at", "id"))
    chosen = [merchants[0], merchants[len(merchants) // 10], merchants[-1]]
    now = datetime.now(UTC)
    key = keys.create(name="bench", merchant=None, now=now, actor="bench").text
    client = Client(headers={"Authorization": f"Bearer {key}"}, raise_request_exception=True)
    endpoints = {one.id: Endpoint.objects.filter(owner=one).order_by("id")[0] for one in chosen}
    events = {
        one.id: list(
            Delivery.objects.filter(owner_id=one.id).order_by("-id").values_list("event_id", flat=True)[:5_000]
        )
        for one in chosen
    }
    log, dice = "/api/v2/webhooks/events", Random(1)

    def get(path: str, **query: str) -> Callable[[int], Any]:
        def ask(number: int) -> Any:
            one = chosen[number % len(chosen)]
            named = {
                "merchant": str(one.reference),
                **{name: text.format(endpoint=endpoints[one.id].public_id) for name, text in query.items()},
            }
            return client.get(path.format(endpoint=endpoints[one.id].public_id), named)

        return ask

    def detail(number: int) -> Any:
        one = chosen[number % len(chosen)]
        event = Event(id=dice.choice(events[one.id]))
        return client.get(f"{log}/{event.public_id}", {"merchant": str(one.reference)})

    def ago(days: int) -> str:
        return (now - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")

    return [
        ("log, newest 50", get(log)),
        ("log, newest 200", get(log, limit="200")),
        ("log, status=failed (1 in 100)", get(log, status="failed")),
        ("log, status=pending (none)", get(log, status="pending")),
        ("log, one type of event", get(log, event_type="payout.failed")),
        ("log, one endpoint", get(log, endpoint="{endpoint}")),
        ("log, one day sixty days ago", get(log, since=ago(60), until=ago(59))),
        ("log, one day sixty days ago, failed", get(log, since=ago(60), until=ago(59), status="failed")),
        ("log, offset=5000", get(log, offset="5000")),
        ("event detail", detail),
        ("statistics, 7 days by hour", get("/api/v2/webhooks/stats", since=ago(7), bucket="hour")),
        ("statistics, 60 days by day", get("/api/v2/webhooks/stats", since=ago(60), bucket="day")),
        (
            "statistics of an endpoint, 30 days by day",
            get("/api/v2/webhooks/endpoints/{endpoint}/stats", since=ago(30)),
        ),
    ]


def _timed(what: str, ask: Callable[[int], Any]) -> str:
    answer = ask(0)
    if answer.status_code != 200:
        sys.exit(f"{what}: {answer.status_code} {answer.content[:500]!r}")
    for number in range(WARM_UP):
        ask(number)
    took = []
    for number in range(REQUESTS):
        began = time.perf_counter()
        ask(number)
        took.append(1000 * (time.perf_counter() - began))
    took.sort()
    figures = [f"{value:.1f}" for value in (took[len(took) // 2], took[int(len(took) * 0.95)], took[-1])]
    return LINE.format(what, *figures)


def _cost() -> list[str]:
    """Bytes for each delivery of a live path: published in batches, sent and recorded in groups, nothing over HTTP."""
    from unittest.mock import patch

    from django.utils import timezone

    from deliveries import doorbell
    from deliveries.models import Lane
    from deliveries.services import NewEvent, publish_batch
    from subscriptions.models import Merchant

    merchants = list(Merchant.objects.filter(reference__startswith="history-").values_list("reference", flat=True))
    payload = json.dumps({"id": "inv_1", "total": 1250, "memo": "x" * 450}).encode()
    before, wal = _sizes(), _wal()
    with patch.object(doorbell.Doorbell, "ring", lambda _: True):
        for first in range(0, PUBLISHED, BATCH):
            numbers = range(first, first + BATCH)
            events = [NewEvent("invoice.paid", payload, merchants[n % len(merchants)]) for n in numbers]
            publish_batch(events, scope="bench", now=timezone.now())
    published = _wal()
    Lane.objects.update(window=50)
    made = _drain()
    after, recorded = _sizes(), _wal()
    lines = [f"bytes for each of {made:,} deliveries, published in batches of {BATCH} and sent at the first try"]
    lines += [f"  {name}: {(after[name] - before[name]) / made:,.0f}" for name in before]
    lines.append(f"  WAL at publish: {(published - wal) / made:,.0f}, at record: {(recorded - published) / made:,.0f}")
    return lines


def _drain() -> int:
    """Every delivery that waits is delivered at once. Returns how many."""
    from django.utils import timezone

    from deliveries.engine.store import Store
    from deliveries.engine.turn import Turn
    from deliveries.engine.values import HeldLane, Result, Sent
    from dispatcher.ids import new_id
    from dispatcher.outcomes import Outcome, Reason
    from dispatcher.retry import DELIVERED

    store, held, results, made = Store(), dict[Any, HeldLane](), list[Result](), 0
    store.connect()
    headers = "Content-Type: application/json\nX-Webhook-Signature: " + "0" * 320
    answer = Outcome(Reason.DELIVERED, 200, headers="Content-Type: application/json", body=b'{"received": true}')
    while True:
        now = timezone.now()
        plan = Turn(
            store=store,
            held=held,
            results=results,
            now=now,
            returned=[],
            free=256,
            may_be_suspect=True,
            is_claiming=True,
        ).take()
        held.update(plan.lanes)
        sent = Sent("https://receiver.example/in", headers, None)
        results = [
            Result(new_id(), pick, sent, answer, DELIVERED, now, now + timedelta(milliseconds=80), None)
            for pick in plan.picks
        ]
        made += len(results)
        if not results:
            store.close()
            return made


def _sizes() -> dict[str, int]:
    """Heaps, indexes and long values of the ledger, apart."""
    from django.db import connection

    kinds = {
        "tables": "pg_relation_size(inhrelid)",
        "indexes": "pg_indexes_size(inhrelid)",
        "long values": "pg_table_size(inhrelid) - pg_relation_size(inhrelid)",
    }
    with connection.cursor() as cursor:
        cursor.execute("CHECKPOINT")
        found = {}
        for name, size in kinds.items():
            cursor.execute(
                f"SELECT sum({size})::bigint FROM pg_inherits WHERE inhparent::regclass::text ~ '^deliveries_'"
            )
            found[name] = int(cursor.fetchone()[0])
    return found


def _wal() -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")
        return int(cursor.fetchone()[0])


def _say(*lines: str) -> None:
    sys.stdout.write("\n".join([*lines, ""]))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
