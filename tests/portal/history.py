"""A merchant with a month behind it: endpoints that do well and badly, a log, statistics. The same every time.

Runs in the platform's own Django: `manage.py shell -c "from tests.portal import history; history.write()"`.
"""

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.utils import timezone

from deliveries.models import Attempt, Delivery, Event, HourlyCount, Lane, LaneEntry
from dispatcher.ids import first_id
from dispatcher.latencies import CLASSES
from subscriptions.models import Endpoint, EventType, Membership, Merchant
from subscriptions.services import endpoints
from tests.portal.people import EMPTY, MERCHANT, OPERATOR, OWNER, OWNER_ADDRESS, PASSWORD, VIEWER

DAYS = 30
HOURLY_CLASSES = (4, 5, 6, 7)
# Of latencies: some tens to some hundreds of milliseconds.
TYPES: Mapping[str, Mapping[str, tuple[str, dict[str, Any]]]] = {
    "Payments": {
        "payment.succeeded": ("A customer paid.", {"id": "pay_8841", "amount": "129.90", "currency": "EUR"}),
        "payment.failed": ("A payment was refused.", {"id": "pay_8842", "reason": "insufficient_funds"}),
        "payment.refunded": ("Money went back to a customer.", {"id": "pay_8790", "amount": "29.90"}),
    },
    "Orders": {
        "order.created": ("A customer placed an order.", {"id": "ord_3107", "items": 3, "total": "129.90"}),
        "order.shipped": ("A parcel is on its way.", {"id": "ord_3098", "carrier": "DPD", "parcels": 1}),
        "order.cancelled": ("An order was taken back.", {"id": "ord_3101", "by": "customer"}),
    },
    "Payouts": {"payout.paid": ("Money is on the merchant's account.", {"id": "out_551", "amount": "8120.44"})},
}


@dataclass(frozen=True)
class Plan:
    """One endpoint: how many of an hour's events it hears, and what share of them fails for good."""

    target: str
    description: str
    types: list[str] | None
    an_hour: int
    failing: float


PLANS = (
    Plan("https://api.northwind.example/webhooks/payments", "Order system", None, 46, 0.002),
    Plan("https://erp.northwind.example/inbound/signet", "Bookkeeping", ["payment.*", "payout.paid"], 17, 0.01),
    Plan("https://staging.northwind.example/webhooks", "Staging", ["order.*"], 6, 0.03),
)
HOUR = timedelta(hours=1)
Reasons = list[tuple[str, int | None]]
OK = json.dumps({"received": True})
DOWN = "<html><head><title>503 Service Temporarily Unavailable</title></head></html>"


def write() -> None:
    now = timezone.now()
    _people_and_types(now)
    rows = [_endpoint(plan, now) for plan in PLANS]
    chance = random.Random(7)
    for plan, row in zip(PLANS, rows, strict=True):
        HourlyCount.objects.bulk_create(_hours(plan, row, now, chance))
    _log(rows, now, chance)
    fail_now(rows[1], now)
    _pause(rows[2], now)


def _people_and_types(now: datetime) -> None:
    stamps = {"created_at": now, "updated_at": now}
    shop = Merchant.objects.create(name="Northwind Books", reference=MERCHANT, **stamps)
    empty = Merchant.objects.create(name="Newcomer", reference=EMPTY, **stamps)
    EventType.objects.exclude(name__startswith="signet.").delete()
    for group, types in TYPES.items():
        for name, (description, example) in types.items():
            schema = {
                "type": "object",
                "required": ["id"],
                "properties": {
                    key: {"type": "integer" if isinstance(value, int) else "string"} for key, value in example.items()
                },
            }
            EventType.objects.create(
                name=name, group=group, description=description, example=example, schema=schema, **stamps
            )
    for name, address, role in ((OWNER, OWNER_ADDRESS, "owner"), (VIEWER, "victor@northwind.example", "viewer")):
        user = User.objects.create_user(name, address, PASSWORD, first_name=name.title())
        Membership.objects.create(merchant=shop, user=user, role=role, **stamps)
        Membership.objects.create(merchant=empty, user=user, role=role, **stamps)
    User.objects.create_superuser(OPERATOR, "operator@signet.example", PASSWORD)


def _endpoint(plan: Plan, now: datetime) -> Endpoint:
    shop = Merchant.objects.get(reference=MERCHANT)
    data = {"url": plan.target, "description": plan.description, "event_types": plan.types}
    made = endpoints.create(merchant=shop, data=data, now=now - timedelta(days=DAYS), actor="system")
    return made.endpoint


def _hours(plan: Plan, row: Endpoint, now: datetime, chance: random.Random) -> Iterator[HourlyCount]:
    """Busier by day than by night, and a bad afternoon last week."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    names = [name for types in TYPES.values() for name in types if hears(plan, name)]
    for back in range(DAYS * 24):
        start = hour - timedelta(hours=back)
        busy = (0.35 + 0.65 * (7 <= start.hour <= 21)) * (1 if back else (now - hour) / HOUR)
        is_bad = plan is PLANS[0] and 60 <= back < 66
        for name in names:
            attempts = round(plan.an_hour / len(names) * busy * chance.uniform(0.6, 1.4))
            failed = sum(chance.random() < (0.4 if is_bad else plan.failing) for _ in range(attempts))
            if plan is PLANS[1] and back <= 3:
                failed = attempts
            latencies = [0] * CLASSES
            for _ in range(attempts - failed):
                latencies[chance.choice(HOURLY_CLASSES)] += 1
            if attempts:
                yield HourlyCount(
                    hour=start, endpoint_id=row.id, owner_id=row.owner_id, event_type=name, attempts=attempts,
                    delivered=attempts - failed, failed=failed, latencies=latencies,
                )  # fmt: skip


def hears(plan: Plan, name: str) -> bool:
    return plan.types is None or any(
        name == wanted or (wanted.endswith("*") and name.startswith(wanted[:-1])) for wanted in plan.types
    )


def _log(rows: list[Endpoint], now: datetime, chance: random.Random) -> None:
    """The last hours, an event every other minute."""
    types = [(name, example) for group in TYPES.values() for name, (_, example) in group.items()]
    for number in range(90):
        at = now - timedelta(seconds=40 + number * 127)
        name, example = types[chance.randrange(len(types))]
        event = _event(rows[0].owner_id, name, example, at, number)
        for plan, row in zip(PLANS[:2], rows[:2], strict=True):
            if not hears(plan, name):
                continue
            is_down = row is rows[1] and number < 60
            reasons: Reasons = (
                [("http_server_error", 503)] * (2 if number % 3 else 3) if is_down else [("delivered", 200)]
            )
            if number == 7 and row is rows[0]:
                reasons = [("response_timeout", None), ("delivered", 200)]
            _delivery(event, row, at, number, reasons, now)


def _event(owner_id: UUID, name: str, example: dict[str, Any], at: datetime, number: int) -> Event:
    return Event.objects.create(
        id=id_at(at, number), merchant_id=owner_id, type=name, payload=json.dumps(example).encode(),
        occurred_at=at, created_at=at,
    )  # fmt: skip


def _delivery(event: Event, row: Endpoint, at: datetime, number: int, reasons: Reasons, now: datetime) -> None:
    reason, status = reasons[-1]
    is_over = reason == "delivered" or number >= 12
    made = Delivery.objects.create(
        id=id_at(at, number * 100 + len(row.target)), event_id=event.id, endpoint_id=row.id,
        owner_id=row.owner_id, event_type=event.type,
        status="delivered" if reason == "delivered" else "failed" if is_over else "pending",
        attempts_made=len(reasons), attempts_counted=len(reasons), last_reason=reason, last_status=status,
        last_attempt_at=at, finished_at=at if is_over else None, created_at=at,
        next_attempt_at=None if is_over else now + timedelta(minutes=7, seconds=number * 11),
    )  # fmt: skip
    if made.next_attempt_at:
        LaneEntry.objects.create(delivery_id=made.id, endpoint_id=row.id, due_at=made.next_attempt_at, trigger="retry")
    for place, (why, answered) in enumerate(reasons, 1):
        _attempt(made, row, event, place, why, answered, at + timedelta(seconds=place * 9))


def _attempt(
    made: Delivery, row: Endpoint, event: Event, place: int, why: str, answered: int | None, at: datetime
) -> None:
    is_json = why == "delivered"
    kind = "application/json" if is_json else "text/html"
    Attempt.objects.create(
        id=id_at(at, made.id.int % 1_000_000 + place), delivery_id=made.id, number=place,
        trigger="event" if place == 1 else "retry", is_counted=True, reason=why, leaves=made.status, url=row.target,
        request_headers="\r\n".join(
            [
                "Content-Type: application/json",
                "User-Agent: Signet/1.0",
                f"X-Webhook-Event: {event.type}",
                f"X-Webhook-Id: {event.public_id}",
                f"X-Webhook-Attempt: {place}",
                f"webhook-id: {event.public_id}",
                f"webhook-timestamp: {int(at.timestamp())}",
                "webhook-signature: v1,9mJg2pU0yqB1c2m0d3b8C6bRk7sJwQvT1dYk4uQ5nXo=",
            ]
        ),
        response_status=answered,
        response_headers=f"Content-Type: {kind}\r\nServer: nginx" if answered else "",
        response_body=(OK if is_json else DOWN if answered else "").encode(),
        dns_ms=1.8, connect_ms=11.2, tls_ms=23.6, send_ms=0.4,
        wait_ms=10_000 if answered is None else 61.0 + place * 13,
        total_ms=10_037 if answered is None else 99.4 + place * 13, started_at=at,
    )  # fmt: skip


def fail_now(row: Endpoint, now: datetime) -> None:
    """Its lane has taken nothing for two hours."""
    Lane.objects.filter(endpoint_id=row.id).delete()
    Lane.objects.create(
        endpoint_id=row.id, failing_since=now - timedelta(hours=2, minutes=7), due_at=now + timedelta(minutes=7)
    )


def _pause(row: Endpoint, now: datetime) -> None:
    endpoints.update(
        merchant=row.owner, endpoint_id=row.id, data={"is_active": False}, now=now - timedelta(hours=5), actor="system"
    )
    for number in range(14):
        at = now - timedelta(minutes=11 + number * 19)
        event = _event(row.owner_id, "order.shipped", TYPES["Orders"]["order.shipped"][1], at, 500 + number)
        Delivery.objects.create(
            id=id_at(at, 5000 + number), event_id=event.id, endpoint_id=row.id, owner_id=row.owner_id,
            event_type=event.type, status="held", created_at=at,
        )  # fmt: skip


def id_at(moment: datetime, number: int) -> UUID:
    """An id as one made then would be."""
    return UUID(int=first_id(moment).int | 7 << 76 | 2 << 62 | ((number + 1) * 0x9E3779B97F4A7C15) % 2**62)
