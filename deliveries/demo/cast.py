"""Who takes part in the demo: merchants with their accounts and cards, and the endpoints they have registered."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ACCOUNTS = 2
CARDS = 4
# A merchant's: enough to filter by, few enough to know them again in the log.

TROUBLED_SCHEDULE_S = [2, 4, 8, 15]
# Short, so that a failure, its retries and their success are all seen within a minute.


@dataclass(frozen=True, slots=True)
class Card:
    reference: str
    account: str
    last_four: str


@dataclass(frozen=True, slots=True)
class PlannedMerchant:
    """A merchant, or the portfolio or reseller above some. Only merchants have accounts."""

    reference: str
    name: str
    kind: str = "merchant"
    parent: str | None = None
    currency: str = "EUR"
    country: str = "LT"
    initials: str = ""

    @property
    def accounts(self) -> tuple[str, ...]:
        return tuple(f"acct_{self._digits('account', number)[:12]}" for number in range(ACCOUNTS))

    @property
    def cards(self) -> tuple[Card, ...]:
        return tuple(self._card(number) for number in range(CARDS))

    def _card(self, number: int) -> Card:
        digits = self._digits("card", number)
        last_four = f"{int(digits[-4:], 16) % 10_000:04}"
        return Card(f"card_{digits[:12]}", self.accounts[number % ACCOUNTS], last_four)

    def _digits(self, kind: str, number: int) -> str:
        """The same in every run: the world is found again by its references."""
        return hashlib.sha256(f"{self.reference} {kind} {number}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class PlannedEndpoint:
    """An endpoint of the demo, found again by its owner and its path at the receiver. None: every type of event."""

    owner: str
    path: str
    description: str
    event_types: tuple[str, ...] | None = None
    is_primary: bool = False
    is_troubled: bool = False
    fields: Mapping[str, Any] = field(default_factory=dict)


HIERARCHY = (
    PlannedMerchant("demo-halyard", "Halyard Payments", kind="reseller"),
    PlannedMerchant("demo-quayside", "Quayside Retail", kind="portfolio", parent="demo-halyard"),
    PlannedMerchant("demo-bramble", "Bramble & Oak Coffee", parent="demo-quayside", country="IE", initials="BR"),
    PlannedMerchant("demo-linden", "Linden Bicycles", parent="demo-quayside", country="DE", initials="LI"),
    PlannedMerchant("demo-saltmarsh", "Saltmarsh Books", parent="demo-quayside", country="NL", initials="SM"),
    PlannedMerchant("demo-corvid", "Corvid Studio", parent="demo-halyard", currency="PLN", country="PL", initials="CO"),
)
# Parents before their children.
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
    PlannedEndpoint("demo-linden", "/linden/billing", "Billing", ("invoice.*",)),
    PlannedEndpoint(
        "demo-saltmarsh",
        "/saltmarsh/shop",
        "Web shop; its server fails now and then",
        is_troubled=True,
        fields={"retry_schedule": TROUBLED_SCHEDULE_S},
    ),
    PlannedEndpoint("demo-corvid", "/corvid/payments", "Payments", ("card_transaction", "invoice.paid")),
    PlannedEndpoint(
        "demo-quayside",
        "/quayside/portfolio",
        "All events of the portfolio's merchants",
        fields={"headers": {"X-Environment": "demo"}},
    ),
    PlannedEndpoint("demo-halyard", "/halyard/risk", "Risk desk", ("invoice.payment_failed", "card_state")),
)
SHOWN_MERCHANT = "demo-bramble"
# The one whose key is printed: it has a primary endpoint, so that every merchant route has something to show.
