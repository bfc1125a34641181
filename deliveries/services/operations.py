"""Publishes what happened to the platform itself: each occurrence becomes an event for those who asked for such news.

1. Take occurrences that nobody else is taking, with what is known of their merchants.
2. Write their events with all that is owed for them, and take the occurrences away, in one transaction: an occurrence
   is published exactly once, whatever dies.
3. After the commit, ring for the lanes.

Who hears it: endpoints that name the type, or a prefix of it, and belong to the merchant it is about, to those who
stand above that one, or to a merchant that hears everything. Never the endpoint that it is about, and none that asks
for all types without naming these. An occurrence that nobody asked for leaves nothing behind.
"""

import json
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from deliveries.doorbell import wake
from deliveries.services.operations_sql import DROP, PUBLISH
from deliveries.services.publish import patterns_of
from dispatcher.ids import Prefix, new_id, show
from dispatcher.window import INITIAL_SIZE
from subscriptions.killpoints import reached
from subscriptions.models import Merchant, Occurrence
from subscriptions.services.operations import rfc3339

STEP_MOST = 500
# Occurrences published in one transaction: some tens of milliseconds.
TICK_S = 5.0
# What is left waits for the next tick; the few workers for chores have others to do.


def publish_occurrences(*, clock: Callable[[], datetime]) -> int:
    """One tick: publish what waits, for a bounded time. Returns how many occurrences it took."""
    deadline, taken = time.monotonic() + TICK_S, 0
    while time.monotonic() < deadline:
        count = publish_step(now=clock())
        taken += count
        if count < STEP_MOST:
            break
    return taken


@transaction.atomic
def publish_step(*, now: datetime) -> int:
    """The oldest occurrences, up to STEP_MOST. Statements: three, however many they are."""
    rows = list(Occurrence.objects.select_for_update(skip_locked=True).order_by("id")[:STEP_MOST])
    if not rows:
        return 0
    references = dict(Merchant.objects.filter(id__in={row.merchant_id for row in rows}).values_list("id", "reference"))
    with connection.cursor() as cursor:
        cursor.execute(PUBLISH, _arrays(rows, references, now=now))
        (endpoints,) = cursor.fetchone()
        cursor.execute(DROP, {"ids": [row.id for row in rows]})
    reached("operations.written")
    if endpoints:
        transaction.on_commit(lambda: wake(endpoints))
    return len(rows)


def _arrays(rows: Sequence[Occurrence], references: dict[UUID, str | None], *, now: datetime) -> dict[str, Any]:
    return {
        "now": now,
        "window": INITIAL_SIZE,
        # In the order in which they happened, and as young as their rows: the log looks for both in one window.
        "ids": [new_id() for _ in rows],
        "types": [row.type for row in rows],
        "patterns": [patterns_of(row.type) for row in rows],
        "merchants": [row.merchant_id for row in rows],
        "endpoints": [row.endpoint_id for row in rows],
        "accounts": [row.account for row in rows],
        "payloads": [_payload(row, references.get(row.merchant_id)) for row in rows],
        "occurred": [row.created_at for row in rows],
    }


def _payload(row: Occurrence, reference: str | None) -> bytes:
    merchant = show(Prefix.MERCHANT, row.merchant_id)
    endpoint = show(Prefix.ENDPOINT, row.endpoint_id)
    head = {
        "type": row.type,
        "occurred_at": rfc3339(row.created_at),
        "merchant": {"id": merchant, "reference": reference},
        "endpoint": endpoint,
    }
    links = {"endpoint": _link("endpoints", endpoint, merchant)}
    if event := row.detail.get("event"):
        links["event"] = _link("events", event["id"], merchant)
    return json.dumps(head | row.detail | {"links": links}, ensure_ascii=False).encode()


def _link(kind: str, object_id: str, merchant: str) -> str:
    """To the API. Without a PUBLIC_URL the address begins at the host's root."""
    return f"{settings.PUBLIC_URL}/api/v2/webhooks/{kind}/{quote(object_id)}?merchant={merchant}"
