"""Paysera's part of the demo: a rule with several recipients, and a plain webhook beside it."""

from datetime import datetime
from random import Random
from typing import Any

from deliveries.demo.model import (
    TROUBLED_SCHEDULE_S,
    Event,
    Payload,
    PlannedEndpoint,
    PlannedMerchant,
    PlannedRule,
    System,
    amount,
)

WEIGHTS = {
    "payment.incoming": 48,
    "payment.outgoing": 26,
    "exchange.completed": 9,
    "deposit.received": 7,
    "statement.other": 10,
}
LAGOON_ACCOUNTS = ("EVP9900000000011", "EVP9900000000012")
JUNIPER_ACCOUNTS = ("EVP9900000000021",)
STATEMENTS = 10**11
# Statement ids are drawn from so many: none comes twice in a run.

LETTERS = ("mailto:office@lagoon-ceramics.example", "sms:+447700900123")
# Nobody has them: the domain is reserved (RFC 2606), the number is one of Ofcom's for drama.

PARTIES = (
    ("Ieva Petraitytė", "LT000000000000000017"),
    ("UAB Šiaurės kelias", "LT000000000000000029"),
    ("Aoife Byrne", "IE00000000000000000041"),
    ("Copperline Energy", "LV0000000000000000053"),
)
# Check digits 00 are none: nobody has these accounts.
DETAILS = ("Invoice 2026-0117", "Rent, March", "Payroll", "Glaze & clay", "Order no. 10482/3")

HIERARCHY = (
    PlannedMerchant("demo-lagoon", "Lagoon Ceramics", accounts=LAGOON_ACCOUNTS),
    PlannedMerchant("demo-juniper", "Juniper Freight", accounts=JUNIPER_ACCOUNTS),
)

PROFILE = {"profile": "paysera"}
ENDPOINTS = (PlannedEndpoint("demo-juniper", "/juniper/account", "Every movement of the account", fields=PROFILE),)
RULES = (
    PlannedRule(
        "demo-lagoon",
        "Money in and out of the main account",
        ("payment.incoming", "payment.outgoing", "deposit.received"),
        LAGOON_ACCOUNTS[:1],
        webhooks=(
            PlannedEndpoint(
                "demo-lagoon",
                "/lagoon/payments",
                "Shop; answers 200 without OK now and then",
                trouble="silent",
                fields={**PROFILE, "retry_schedule": TROUBLED_SCHEDULE_S},
            ),
            PlannedEndpoint("demo-lagoon", "/lagoon/bookkeeping", "Bookkeeping", fields=PROFILE),
        ),
        letters=LETTERS,
    ),
)


class Statements:
    """Lines of account statements. What is empty is left out."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def draw(self, now: datetime) -> Event:
        name = self._random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        merchant = self._random.choice(HIERARCHY)
        account = self._random.choice(merchant.accounts)
        payload = {**self._common(name, account, now), **self._rest(name)}
        return Event(name, payload, str(payload["statement_id"]), None, account)

    def _rest(self, name: str) -> Payload:
        match name:
            case "payment.incoming":
                return self._movement(1, "payer")
            case "payment.outgoing":
                return self._movement(0, "beneficiary")
            case "exchange.completed":
                return self._exchange()
            case "deposit.received":
                return self._movement(1, "")
            case _:
                return self._movement(0, "")

    def _common(self, name: str, account: str, now: datetime) -> Payload:
        kind = {"exchange.completed": "FX", "deposit.received": "HO", "statement.other": "MM"}.get(name, "MK")
        return {
            "type": kind,
            "account": account,
            "statement_id": self._random.randrange(STATEMENTS),
            "transfer_id": self._random.randrange(STATEMENTS),
            "created_at": int(now.timestamp()),
        }

    def _movement(self, credit: int, side: str) -> Payload:
        money: dict[str, Any] = {
            "credit": credit,
            "amount": amount(self._random.randint(100, 180_000)),
            "currency": "EUR",
            "details": self._random.choice(DETAILS),
        }
        if not side:
            return money
        name, account = self._random.choice(PARTIES)
        return {**money, f"{side}_name": name, f"{side}_account": account}

    def _exchange(self) -> Payload:
        cents = self._random.randint(1_000, 90_000)
        return {
            "from_amount": amount(cents),
            "from_currency": "EUR",
            "to_amount": amount(cents * 108 // 100),
            "to_currency": "USD",
        }


SYSTEM = System("paysera", "Paysera", HIERARCHY, ENDPOINTS, Statements, RULES)
