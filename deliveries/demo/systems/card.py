"""The card platform of the demo: payloads are the resources of its API, the platform finds whom they concern."""

from datetime import datetime, timedelta
from random import Random

from deliveries.demo.model import (
    TROUBLED_SCHEDULE_S,
    Event,
    Payload,
    PlannedEndpoint,
    PlannedMerchant,
    System,
    amount,
    digits,
    moment,
    new_uuid,
    uuid_of,
)

ACCOUNTS = 2
CARDS = 4
# A merchant's: enough to filter by, few enough to know them again in the log.
ACCOUNT_ONLY_PERCENT = 60
# Share of the events that do not name the merchant: the platform finds it.
WEIGHTS = {"card_transaction": 55, "account_transaction": 25, "account_topup": 12, "card_state": 8}

ACCEPTORS = (
    ("Harbour Fuel", "5541"),
    ("Fennel & Fig Market", "5411"),
    ("Polestar Rail", "4112"),
    ("Kite Hotel", "7011"),
    ("Paper Lantern", "5812"),
    ("Copperline Telecom", "4814"),
    ("Tern Office Supply", "5943"),
)


def accounts_of(reference: str) -> tuple[str, ...]:
    return tuple(uuid_of(reference, "account", number) for number in range(ACCOUNTS))


def cards_of(reference: str) -> tuple[str, ...]:
    return tuple(uuid_of(reference, "card", number) for number in range(CARDS))


def _merchant(reference: str, name: str, parent: str, country: str, currency: str = "EUR") -> PlannedMerchant:
    accounts = (*accounts_of(reference), *cards_of(reference))
    return PlannedMerchant(reference, name, parent=parent, currency=currency, country=country, accounts=accounts)


HIERARCHY = (
    PlannedMerchant("demo-halyard", "Halyard Payments", kind="reseller"),
    PlannedMerchant("demo-quayside", "Quayside Retail", kind="portfolio", parent="demo-halyard"),
    _merchant("demo-bramble", "Bramble & Oak Coffee", "demo-quayside", "IE"),
    _merchant("demo-linden", "Linden Bicycles", "demo-quayside", "DE"),
    _merchant("demo-saltmarsh", "Saltmarsh Books", "demo-quayside", "NL"),
    _merchant("demo-corvid", "Corvid Studio", "demo-halyard", "PL", currency="PLN"),
)
MERCHANTS = tuple(merchant for merchant in HIERARCHY if merchant.kind == "merchant")

ENDPOINTS = (
    PlannedEndpoint("demo-bramble", "/bramble/everything", "Everything that concerns us", is_primary=True),
    PlannedEndpoint(
        "demo-bramble",
        "/bramble/ledger",
        "Bookkeeping: one at a time and in order",
        ("account_transaction", "account_topup"),
        fields={"ordered": True},
    ),
    PlannedEndpoint("demo-linden", "/linden/cards", "Fleet cards", ("card_transaction", "card_state")),
    PlannedEndpoint(
        "demo-saltmarsh",
        "/saltmarsh/shop",
        "Web shop; its server fails now and then",
        trouble="fails",
        fields={"retry_schedule": TROUBLED_SCHEDULE_S},
    ),
    PlannedEndpoint("demo-corvid", "/corvid/payments", "Payments", ("card_transaction",)),
    PlannedEndpoint(
        "demo-quayside",
        "/quayside/portfolio",
        "All events of the portfolio's merchants",
        fields={"headers": {"X-Environment": "demo"}},
    ),
    PlannedEndpoint("demo-halyard", "/halyard/risk", "Risk desk", ("card_state",)),
)


class Cards:
    """The platform's resources, each at the moment that something happened to it."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def draw(self, now: datetime) -> Event:
        kind = self._random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        merchant = self._random.choice(MERCHANTS)
        payload = {
            "card_transaction": self._card_transaction,
            "account_transaction": self._account_transaction,
            "account_topup": self._topup,
            "card_state": self._card_state,
        }[kind](merchant, now)
        key = f"{kind} {payload['id']} {payload['updatedAt']}"
        account = payload.get("cardUuid") or (payload["id"] if kind == "card_state" else payload["accountUuid"])
        is_named = self._random.randrange(100) >= ACCOUNT_ONLY_PERCENT
        return Event(kind, payload, key, merchant.reference if is_named else None, account)

    def _card_transaction(self, merchant: PlannedMerchant, now: datetime) -> Payload:
        number = self._random.randrange(CARDS)
        name, category = self._random.choice(ACCEPTORS)
        return {
            "id": new_uuid(self._random),
            "cardUuid": cards_of(merchant.reference)[number],
            "accountUuid": accounts_of(merchant.reference)[number % ACCOUNTS],
            **self._money(merchant, 150, 24_000),
            "type": self._random.choices(("purchase", "withdrawal", "refund"), (88, 7, 5))[0],
            "status": self._random.choices(("pending", "completed", "declined", "reversed"), (40, 46, 10, 4))[0],
            "merchantName": name,
            "merchantCategory": category,
            **self._written(now),
        }

    def _account_transaction(self, merchant: PlannedMerchant, now: datetime) -> Payload:
        return {
            "id": new_uuid(self._random),
            "accountUuid": self._random.choice(accounts_of(merchant.reference)),
            **self._money(merchant, 1_000, 180_000),
            "type": self._random.choices(("payin", "payout", "fee"), (50, 42, 8))[0],
            "status": self._random.choices(("completed", "pending", "failed"), (86, 10, 4))[0],
            **self._written(now),
        }

    def _topup(self, merchant: PlannedMerchant, now: datetime) -> Payload:
        return {
            "id": new_uuid(self._random),
            "accountUuid": self._random.choice(accounts_of(merchant.reference)),
            **self._money(merchant, 5_000, 200_000),
            "status": self._random.choices(("completed", "pending", "failed"), (80, 12, 8))[0],
            **self._written(now),
        }

    def _card_state(self, merchant: PlannedMerchant, now: datetime) -> Payload:
        number = self._random.randrange(CARDS)
        card = cards_of(merchant.reference)[number]
        return {
            "id": card,
            "accountUuid": accounts_of(merchant.reference)[number % ACCOUNTS],
            "lastFour": f"{int(digits(card)[:4], 16) % 10_000:04}",
            "status": self._random.choices(("active", "blocked", "inactive", "closed"), (55, 30, 10, 5))[0],
            **self._written(now),
        }

    def _money(self, merchant: PlannedMerchant, least: int, most: int) -> Payload:
        return {"amount": amount(self._random.randint(least, most)), "currency": merchant.currency}

    def _written(self, now: datetime) -> Payload:
        created = now - timedelta(seconds=self._random.choice((0, 0, 2, 40, 3_600)))
        return {"createdAt": moment(created), "updatedAt": moment(now)}


SYSTEM = System("card", "Card platform", HIERARCHY, ENDPOINTS, Cards)
