"""The payment gateway's part of the demo: webhooks of a reseller and of a portfolio hear of the merchants below."""

from collections import deque
from datetime import datetime
from random import Random
from typing import Any

from deliveries.demo.model import (
    TROUBLED_SCHEDULE_S,
    Event,
    Payload,
    PlannedEndpoint,
    PlannedMerchant,
    System,
    amount,
    moment,
    new_id,
)

OPEN_MOST = 100
WEIGHTS = {
    "processing.return-processed": 8,
    "processing.noc-processed": 4,
    "processing.chargeback-processed": 6,
    "processing.reversal-processed": 4,
    "billing.payment-option-created": 12,
    "billing.payment-option-modified": 8,
    "billing.subscription-created": 10,
    "billing.subscription-modified": 8,
    "billing.transaction-created": 22,
    "billing.allocation-created": 14,
    "management.merchant-created": 1,
    "management.merchant-modified": 1,
    "management.terminal-created": 1,
    "management.terminal-modified": 1,
}
CHANGES: dict[str, tuple[str, tuple[Any, ...]]] = {
    "payment-option": ("isActive", (True, False)),
    "subscription": ("status", ("active", "suspended", "cancelled")),
    "merchant": ("name", ("Pelican Gym Ltd", "Orchard Dental Group")),
    "terminal": ("isActive", (True, False)),
}

HIERARCHY = (
    PlannedMerchant("demo-northgate", "Northgate Merchant Services", kind="reseller", currency="USD", country="US"),
    PlannedMerchant("demo-harbour", "Harbour Health & Leisure", kind="portfolio", parent="demo-northgate"),
    PlannedMerchant("demo-pelican", "Pelican Gym", parent="demo-harbour", accounts=("term-4401", "term-4402")),
    PlannedMerchant("demo-orchard", "Orchard Dental", parent="demo-harbour", accounts=("term-5501",)),
)
ENDPOINTS = (
    PlannedEndpoint(
        "demo-northgate",
        "/northgate/everything",
        "All events of everything below the reseller",
        fields={"profile": "gateway", "auth": {"type": "basic", "username": "northgate", "password": "tide-7-lantern"}},
    ),
    PlannedEndpoint(
        "demo-harbour",
        "/harbour/billing",
        "Billing and processing of the portfolio; its page fails now and then",
        ("billing.*", "processing.*"),
        trouble="fails",
        fields={
            "profile": "gateway",
            "auth": {"type": "basic", "username": "harbour", "password": "copper-4-orchid"},
            "retry_schedule": TROUBLED_SCHEDULE_S,
        },
    ),
)
MERCHANTS = tuple(merchant for merchant in HIERARCHY if merchant.kind == "merchant")


class Objects:
    """Transactions, and objects that are created and modified."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._made: dict[str, deque[Payload]] = {kind: deque(maxlen=OPEN_MOST) for kind in CHANGES}

    def draw(self, now: datetime) -> Event:
        name = self._random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        merchant = self._random.choice(MERCHANTS)
        module, what = name.split(".")
        if module == "processing":
            account = self._random.choice(merchant.accounts)
            payload = self._transaction(account)
            return Event(name, payload, f"{name} {payload['id']}", None, account)
        kind, _, verb = what.rpartition("-")
        payload = self._modified(kind, now) if verb == "modified" else self._created(kind, now)
        return Event(name, payload, f"{name} {payload['id']}", merchant.reference)

    def _transaction(self, terminal: str) -> Payload:
        return {
            "dataType": "Transaction",
            "id": new_id(self._random, "trn"),
            "terminalId": terminal,
            "amount": amount(self._random.randint(500, 40_000)),
            "currency": "USD",
            "reasonCode": f"R{self._random.randint(1, 29):02}",
        }

    def _created(self, kind: str, now: datetime) -> Payload:
        made: Payload = {
            "dataType": "Object",
            "id": new_id(self._random, kind.replace("-", "")),
            "created": moment(now),
        }
        if kind in CHANGES:
            field, values = CHANGES[kind]
            made[field] = values[0]
            self._made[kind].append(made)
        else:
            made["amount"] = amount(self._random.randint(500, 40_000))
        return made

    def _modified(self, kind: str, now: datetime) -> Payload:
        """The oldest that was created here, which is then left alone; in a young world one that nobody heard of."""
        field, values = CHANGES[kind]
        if not self._made[kind]:
            self._created(kind, now)
        return {**self._made[kind].popleft(), field: self._random.choice(values), "changed": [field]}


SYSTEM = System("gateway", "Gateway", HIERARCHY, ENDPOINTS, Objects)
