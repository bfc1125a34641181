"""What the benches deliver: merchants with one signed endpoint each, and events for them."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from unittest.mock import patch

from django.db import connection

from deliveries import doorbell
from deliveries.models import Lane
from deliveries.services import NewEvent, publish_batch
from dispatcher.ids import new_id
from dispatcher.profiles.catalogue import DEFAULT
from dispatcher.profiles.secrets import generate
from subscriptions.models import Endpoint, EventType, Merchant, SigningSecret
from subscriptions.services import keys, vault
from tests.bench.sizes import PAYLOAD_LINES

EVENT_TYPE = "invoice.paid"
BATCH = 500
SCOPE = "bench"
ADDRESSES_A_NET = 250
AIM_SOME = r"""
UPDATE subscriptions_endpoint e SET target = regexp_replace(e.target, '(:\d+)?/in$', %s), version = version + 1
FROM subscriptions_merchant m WHERE m.id = e.owner_id AND m.reference = ANY (%s)
"""
TABLES = (
    "deliveries_event",
    "deliveries_delivery",
    "deliveries_attempt",
    "deliveries_lane",
    "deliveries_laneentry",
    "subscriptions_endpoint",
    "subscriptions_signingsecret",
    "subscriptions_merchant",
)


def reference(number: int) -> str:
    return f"merchant-{number}"


def address(number: int) -> str:
    """Each endpoint has an address of its own: 10,000 endpoints are 10,000 connections to keep alive."""
    net, host = divmod(number, ADDRESSES_A_NET)
    return f"127.{1 + net // ADDRESSES_A_NET}.{net % ADDRESSES_A_NET}.{host + 1}"


def seed(count: int) -> str:
    """Merchants, endpoints, secrets, the event type. Returns a provider's key. The targets' port comes later."""
    now = datetime.now(UTC)
    stamps = {"created_at": now, "updated_at": now}
    EventType.objects.create(name=EVENT_TYPE, **stamps)
    merchants = Merchant.objects.bulk_create(
        [Merchant(name=reference(n), reference=reference(n), **stamps) for n in range(count)]
    )
    endpoints = Endpoint.objects.bulk_create(
        [Endpoint(owner=merchant, target=f"http://{address(n)}/in", **stamps) for n, merchant in enumerate(merchants)]
    )
    SigningSecret.objects.bulk_create([_secret(endpoint, now) for endpoint in endpoints])
    vacuum()
    return keys.create(name="bench", merchant=None, now=now, actor="system").text


def _secret(endpoint: Endpoint, now: datetime) -> SigningSecret:
    row_id = new_id()
    sealed = vault.seal(vault.SIGNING_SECRET, row_id, generate(DEFAULT).encode())
    return SigningSecret(id=row_id, endpoint=endpoint, ciphertext=sealed, created_at=now)


def aim(port: int) -> None:
    """Point every endpoint at the receiver that listens there."""
    with connection.cursor() as cursor:
        cursor.execute(
            # The version tells workers that what they know of an endpoint is old.
            r"""
            UPDATE subscriptions_endpoint SET target = regexp_replace(target, '(:\d+)?/in$', %s), version = version + 1
            """,
            [f":{port}/in"],
        )
    vacuum()


def aim_some(numbers: Iterable[int], port: int) -> None:
    """Point only the endpoints of these merchants there."""
    with connection.cursor() as cursor:
        cursor.execute(AIM_SOME, [f":{port}/in", [reference(number) for number in numbers]])


def payload(number: int) -> bytes:
    """An invoice. Its number comes first, where the recording sink reads it."""
    lines = [{"sku": f"A-{line}", "quantity": line, "price": "12.50"} for line in range(PAYLOAD_LINES)]
    body = {"number": number, "status": "paid", "amount": {"value": "812.50", "currency": "EUR"}, "lines": lines}
    return json.dumps(body, separators=(",", ":")).encode()


def publish_waiting(count: int, *, merchants: int, first_merchant: int = 0) -> None:
    """Publish events, in turn to so many merchants, that nobody is told of yet."""
    now = datetime.now(UTC)
    with patch("deliveries.services.publish.wake"):
        for first in range(0, count, BATCH):
            numbers = range(first, min(first + BATCH, count))
            events = [NewEvent(EVENT_TYPE, payload(n), reference(first_merchant + n % merchants)) for n in numbers]
            publish_batch(events, scope=SCOPE, now=now)


def mark_due() -> None:
    """Make every lane due, and bring the tables into the state that autovacuum keeps them in."""
    with connection.cursor() as cursor:
        cursor.execute(doorbell.MARK_DUE, [list(Lane.objects.values_list("endpoint_id", flat=True))])
    vacuum()


def vacuum() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"VACUUM (ANALYZE) {', '.join(TABLES)}")
