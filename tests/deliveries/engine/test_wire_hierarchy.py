"""The gateway's registrations: those of resellers and portfolios get what happens below them, and nothing else."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from deliveries.models import Delivery
from subscriptions.models import EventType, Merchant
from tests.deliveries.engine.wire_stage import OK, Known, Stage, answering, profile_of, provider_pair, stage
from tests.receivers.receiver import Received, Receiver
from tests.verifiers import gateway

pytestmark = pytest.mark.django_db(transaction=True)

EVENT_TYPE = "billing.subscription-modified"
KIND = Merchant.Kind


class Gateway:
    """A reseller with two portfolios and a merchant of its own, and a stranger; each has a registration."""

    def __init__(self, set_up: Stage, receiver: Receiver) -> None:
        self._stage, self._receiver = set_up, receiver
        self._known: dict[str, Known] = {}
        now = datetime.now(UTC)
        EventType.objects.create(name=EVENT_TYPE, created_at=now, updated_at=now)
        reseller = self._register("reseller", KIND.RESELLER)
        portfolio = self._register("portfolio", KIND.PORTFOLIO, parent=reseller)
        sibling = self._register("sibling", KIND.PORTFOLIO, parent=reseller)
        self._register("alice-shop", KIND.MERCHANT, parent=portfolio)
        self._register("bob-shop", KIND.MERCHANT, parent=sibling)
        self._register("direct", KIND.MERCHANT, parent=reseller)
        self._register("charlie-shop", KIND.MERCHANT)

    def _register(self, reference: str, kind: str, *, parent: Merchant | None = None) -> Merchant:
        now = datetime.now(UTC)
        owner = Merchant.objects.create(
            name=reference, reference=reference, kind=kind, parent=parent, created_at=now, updated_at=now
        )
        url = self._receiver.url(f"/{reference}")
        self._known[reference] = self._stage.add_endpoint("gateway", url, pair=provider_pair(1), owner=owner)
        return owner

    def hearers_of(self, reference: str) -> list[str]:
        """Whose receivers got what happened to this merchant; each must have believed it."""
        before = len(self._receiver.requests)
        payload: dict[str, object] = {
            "id": "sub_1",
            "of": reference,
            "dataType": "Object",
            "changed": ["amount", "interval"],
        }
        self._stage.publish(json.dumps(payload).encode(), merchant=reference, event_type=EVENT_TYPE)
        self._stage.drain()
        came = self._receiver.requests[before:]
        for received in came:
            self._check(received, payload)
        assert not Delivery.objects.exclude(status="delivered").exists()
        return sorted(profile_of(received) for received in came)

    def _check(self, received: Received, payload: dict[str, object]) -> None:
        request = self._known[profile_of(received)].delivered(received)
        gateway.verify(request)
        body = json.loads(request.body)
        assert (body["type"], body["dataType"], body["changed"]) == (EVENT_TYPE, "Object", ["amount", "interval"])
        assert body["data"] == payload


@pytest.fixture
def registered() -> Iterator[Gateway]:
    with stage() as set_up, Receiver(answering(lambda received: OK)) as receiver:
        yield Gateway(set_up, receiver)


@pytest.mark.parametrize(
    ("merchant", "hearers"),
    [
        ("alice-shop", ["alice-shop", "portfolio", "reseller"]),
        ("bob-shop", ["bob-shop", "reseller", "sibling"]),
        ("direct", ["direct", "reseller"]),
        ("portfolio", ["portfolio", "reseller"]),
        ("reseller", ["reseller"]),
        ("charlie-shop", ["charlie-shop"]),
    ],
)
def test_an_event_goes_up_and_never_sideways_or_down(registered: Gateway, merchant: str, hearers: list[str]) -> None:
    assert registered.hearers_of(merchant) == hearers
