"""Paysafe's part of the demo: a shop and its twin in test mode."""

from collections import deque
from datetime import datetime
from random import Random

from deliveries.demo.model import Event, Payload, PlannedEndpoint, PlannedMerchant, System, moment, new_uuid

API = "https://api.paysafe.example/paymenthub/v1"
OPEN_MOST = 100
# Payments that go on; older ones are forgotten as if the customer had left.
FAILED_PERCENT = 12
NEXT = {
    "": "PAYMENT_HANDLE_PAYABLE",
    "PAYMENT_HANDLE_PAYABLE": "PAYMENT_PROCESSING",
    "PAYMENT_PROCESSING": "PAYMENT_COMPLETED",
    "PAYMENT_COMPLETED": "SETTLEMENT_COMPLETED",
}
RESOURCES = {"PAYMENT_HANDLE_PAYABLE": "paymenthandle", "SETTLEMENT_COMPLETED": "settlement"}

HIERARCHY = (
    PlannedMerchant("demo-meridian", "Meridian Games", currency="EUR", country="BG"),
    PlannedMerchant("demo-meridian-test", "Meridian Games, test shop", mode="test", country="BG"),
)
PROFILE = {"profile": "paysafe"}
ENDPOINTS = (
    PlannedEndpoint(
        "demo-meridian",
        "/meridian/payments",
        "Shop plugin; its server fails now and then",
        trouble="fails",
        fields={**PROFILE, "retry_schedule": [3, 9, 27]},
    ),
    PlannedEndpoint(
        "demo-meridian",
        "/meridian/settlements",
        "Settlements and failures",
        ("SETTLEMENT_COMPLETED", "PAYMENT_FAILED"),
        fields=PROFILE,
    ),
    PlannedEndpoint("demo-meridian-test", "/meridian-test/payments", "The test shop", fields=PROFILE),
)


class Payments:
    """Payments that pass from step to step."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._open: deque[tuple[str, str, Payload]] = deque(maxlen=OPEN_MOST)

    def draw(self, now: datetime) -> Event:
        merchant, step, payment = self._take()
        name = NEXT[step]
        if name == "PAYMENT_COMPLETED" and self._random.randrange(100) < FAILED_PERCENT:
            name = "PAYMENT_FAILED"
        payload = {**payment, "status": name.rpartition("_")[2], "updatedTime": moment(now)}
        payload["links"] = [_link(name, str(payload["id"]))]
        if name in NEXT:
            self._open.append((merchant, name, payload))
        return Event(name, payload, f"{name} {payload['id']}", merchant)

    def _take(self) -> tuple[str, str, Payload]:
        """One that is under way, or a new one."""
        if len(self._open) > 4 and self._random.randrange(100) < 70:
            return self._open.popleft()
        merchant = self._random.choices(HIERARCHY, (3, 1))[0]
        payment = {
            "id": new_uuid(self._random),
            "accountId": "1002786770",
            "merchantRefNum": f"order-{self._random.randrange(10**6):06}",
            "paymentHandleToken": f"PH{self._random.getrandbits(60):015x}",
            "transactionType": "PAYMENT",
            "amount": self._random.randint(99, 12_000),
            "currencyCode": merchant.currency,
            "paymentType": self._random.choice(("CARD", "SKRILL", "PAYSAFECARD")),
        }
        return merchant.reference, "", payment


def _link(name: str, id_: str) -> dict[str, str]:
    resource = RESOURCES.get(name, "payment")
    return {"rel": resource, "href": f"{API}/{resource}s/{id_}"}


SYSTEM = System("paysafe", "Paysafe", HIERARCHY, ENDPOINTS, Payments)
