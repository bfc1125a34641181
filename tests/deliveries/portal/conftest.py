"""Alice with an endpoint and a log, her colleagues, and Charlie, who has nothing to do with her."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from deliveries.models import Attempt, Delivery, Event
from dispatcher.ids import first_id
from subscriptions.models import Endpoint, Merchant
from tests.deliveries.portal.visitors import Visitor, sign_in

Make = Callable[..., Any]
FINAL = {"delivered", "failed", "cancelled"}


@pytest.fixture
def shop(make_merchant: Make, make_type: Make) -> Merchant:
    """Alice's."""
    for name in ("invoice.paid", "invoice.sent", "payout.failed"):
        make_type(name, group=name.partition(".")[0], description=f"About {name}.", example={"id": "1"})
    made: Merchant = make_merchant("alice")
    return made


@pytest.fixture
def alice(shop: Merchant) -> Visitor:
    return sign_in(shop)


@pytest.fixture
def viewer(shop: Merchant) -> Visitor:
    return sign_in(shop, role="viewer")


@pytest.fixture
def charlie(shop: Merchant, make_merchant: Make) -> Visitor:
    """The stranger, who opens the addresses of Alice's pages."""
    stranger = sign_in(make_merchant("charlie"))
    return Visitor(shop, stranger.client)


@pytest.fixture
def endpoint(shop: Merchant, make_endpoint: Make) -> Endpoint:
    made: Endpoint = make_endpoint(shop, target="https://shop.example/in", secret="whsec_" + "QUJD" * 8)
    return made


def id_at(moment: datetime, number: int = 0) -> UUID:
    """An id made then; those of one moment differ by their number, and stand in its order."""
    return UUID(int=first_id(moment).int | 7 << 76 | 2 << 62 | number)


@pytest.fixture
def now_ish() -> datetime:
    """The present, which the pages read from the clock, at a whole second."""
    return timezone.now().replace(microsecond=0)


@pytest.fixture
def owe(now_ish: datetime) -> Callable[..., Delivery]:
    """Writes an event, its delivery to the endpoint, and its attempts: one for each reason."""
    made = 0

    def make(
        endpoint: Endpoint,
        *,
        status: str = "delivered",
        type: str = "invoice.paid",  # noqa: A002
        reasons: tuple[tuple[str, int | None], ...] = (("delivered", 200),),
        payload: bytes = b'{"total": 12.50}',
        ago: timedelta = timedelta(minutes=1),
        next_in: timedelta = timedelta(minutes=5),
        external_id: str | None = None,
        account: str | None = None,
        event: dict[str, Any] | None = None,
        **attempt: Any,
    ) -> Delivery:
        nonlocal made
        made += 1
        at = now_ish - ago
        row = Event.objects.create(
            id=id_at(at, made), external_id=external_id, merchant_id=endpoint.owner_id, type=type, account=account,
            payload=payload, occurred_at=at, created_at=at, **(event or {}),
        )  # fmt: skip
        tried = reasons if status != "held" else ()
        delivery = Delivery.objects.create(
            id=id_at(at, made), event_id=row.id, endpoint_id=endpoint.id, owner_id=endpoint.owner_id, event_type=type,
            account=account, status=status, attempts_made=len(tried), attempts_counted=len(tried),
            next_attempt_at=now_ish + next_in if status == "pending" else None,
            last_reason=tried[-1][0] if tried else None, last_status=tried[-1][1] if tried else None,
            last_attempt_at=at if tried else None, finished_at=at if status in FINAL else None, created_at=at,
        )  # fmt: skip
        for number, (reason, answered) in enumerate(tried, 1):
            fields: dict[str, Any] = {
                "id": id_at(at, made * 100 + number), "delivery_id": delivery.id, "number": number,
                "trigger": "event" if number == 1 else "retry", "is_counted": True, "reason": reason,
                "url": endpoint.target, "request_headers": "Content-Type: application/json\r\nX-Webhook-Id: evt_1",
                "response_status": answered, "response_headers": "Content-Type: text/html" if answered else "",
                "response_body": b"ok" if answered else b"", "total_ms": 42.0, "started_at": at,
            }  # fmt: skip
            Attempt.objects.create(**fields | attempt)
        return delivery

    return make
