"""Payloads as a card platform's REST API would answer them, at random but true to each other.

A `Books` remembers what later payloads must agree with: the balance of an account, the invoices that are open.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from deliveries.demo.cast import Card, PlannedMerchant

Payload = dict[str, Any]

FIRST_BALANCE_CENTS = 1_250_000
OPEN_INVOICES_MOST = 200
# Of all merchants together; older ones are forgotten as if they were never paid.
ID_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
TAX_PERCENT = 21

ACCEPTORS = (
    ("Harbour Fuel", "5541", "Klaipėda", "LT"),
    ("Fennel & Fig Market", "5411", "Dublin", "IE"),
    ("Polestar Rail", "4112", "Leipzig", "DE"),
    ("Kite Hotel", "7011", "Utrecht", "NL"),
    ("Paper Lantern", "5812", "Kraków", "PL"),
    ("Copperline Telecom", "4814", "Tallinn", "EE"),
    ("Tern Office Supply", "5943", "Riga", "LV"),
)
PEOPLE = (
    "Ieva Petraitytė",
    "Aoife Byrne",
    "Jonas Brandt",
    "Sanne de Wit",
    "Marek Zieliński",
    "Liis Tamm",
    "Noor Haddad",
)
GOODS = (
    ("Monthly plan", 2900),
    ("Seat, additional", 900),
    ("Onboarding, per hour", 8500),
    ("Espresso beans, 1 kg", 2450),
    ("Workshop service", 6400),
    ("Gift card", 5000),
)
REFERENCES = ("Rent", "Payroll", "Supplier invoice", "Settlement", "Refund", "Tax")
STATE_CHANGES = (
    ("ordered", "inactive", "delivered", "platform"),
    ("inactive", "active", "activated_by_holder", "holder"),
    ("active", "blocked", "blocked_by_holder", "holder"),
    ("active", "blocked", "suspected_fraud", "platform"),
    ("blocked", "active", "unblocked", "support"),
    ("active", "closed", "lost", "holder"),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One payload and the account or card it is about; none for invoices, which concern the merchant."""

    payload: Payload
    account: str | None = None


class Books:
    """Makes payloads. One for each thread: it is not shared."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._balances: dict[str, int] = {}
        self._open: deque[tuple[str, Payload]] = deque(maxlen=OPEN_INVOICES_MOST)

    def card_transaction(self, merchant: PlannedMerchant, now: datetime) -> Sample:
        card: Card = self._random.choice(merchant.cards)
        name, category, city, country = self._random.choice(ACCEPTORS)
        status = self._random.choices(("authorised", "cleared", "declined", "reversed"), (50, 36, 10, 4))[0]
        is_declined = status == "declined"
        reasons = ("insufficient_funds", "card_blocked", "limit_exceeded", "wrong_pin")
        payload = {
            "id": self._id("ctx"),
            "card_id": card.reference,
            "account_id": card.account,
            "kind": self._random.choices(("purchase", "withdrawal", "refund"), (88, 7, 5))[0],
            "status": status,
            "amount": _money(self._random.randint(150, 24_000), merchant),
            "entry_mode": self._random.choice(("chip", "contactless", "ecommerce", "wallet")),
            "last_four": card.last_four,
            "authorisation_code": None if is_declined else f"{self._random.randrange(1_000_000):06}",
            "decline_reason": self._random.choice(reasons) if is_declined else None,
            "acceptor": {"name": name, "category_code": category, "city": city, "country": country},
            "created_at": moment(now),
        }
        return Sample(payload, card.reference)

    def account_transaction(self, merchant: PlannedMerchant, now: datetime) -> Sample:
        account = self._random.choice(merchant.accounts)
        kind = self._random.choices(("transfer_in", "transfer_out", "card_settlement", "fee"), (40, 35, 20, 5))[0]
        cents = self._random.randint(100, 900) if kind == "fee" else self._random.randint(1_000, 180_000)
        signed = cents if kind == "transfer_in" else -cents
        is_transfer = kind.startswith("transfer")
        payload = {
            "id": self._id("atx"),
            "account_id": account,
            "kind": kind,
            "amount": _money(signed, merchant),
            "balance_after": _money(self._book(account, signed), merchant),
            "counterparty": self._counterparty(merchant) if is_transfer else None,
            "reference": self._random.choice(REFERENCES) if is_transfer else kind.replace("_", " ").capitalize(),
            "booked_at": moment(now),
            "value_date": now.date().isoformat(),
        }
        return Sample(payload, account)

    def account_topup(self, merchant: PlannedMerchant, now: datetime) -> Sample:
        account = self._random.choice(merchant.accounts)
        status = self._random.choices(("completed", "pending", "failed"), (80, 12, 8))[0]
        is_completed = status == "completed"
        cents = self._random.randrange(5_000, 200_000, 500)
        payload = {
            "id": self._id("top"),
            "account_id": account,
            "method": self._random.choice(("bank_transfer", "card", "cash")),
            "status": status,
            "amount": _money(cents, merchant),
            "balance_after": _money(self._book(account, cents if is_completed else 0), merchant),
            "requested_at": moment(now - timedelta(seconds=self._random.randint(2, 90))),
            "completed_at": moment(now) if is_completed else None,
        }
        return Sample(payload, account)

    def card_state(self, merchant: PlannedMerchant, now: datetime) -> Sample:
        card = self._random.choice(merchant.cards)
        previous, state, reason, changed_by = self._random.choice(STATE_CHANGES)
        payload = {
            "id": card.reference,
            "account_id": card.account,
            "last_four": card.last_four,
            "previous_state": previous,
            "state": state,
            "reason": reason,
            "changed_by": changed_by,
            "changed_at": moment(now),
        }
        return Sample(payload, card.reference)

    def invoice_created(self, merchant: PlannedMerchant, now: datetime) -> Sample:
        invoice = self._invoice(merchant, now)
        self._open.append((merchant.reference, invoice))
        return Sample(invoice)

    def invoice_paid(self, merchant: PlannedMerchant, now: datetime) -> Sample:
        invoice = self._take_open(merchant, now)
        method = self._random.choice(("card", "direct_debit", "transfer"))
        payment = {"id": self._id("pay"), "method": method, "paid_at": moment(now)}
        return Sample({**invoice, "status": "paid", "amount_due": "0.00", "payment": payment, "failure": None})

    def invoice_payment_failed(self, merchant: PlannedMerchant, now: datetime) -> Sample:
        """The invoice stays open: it may fail again, be paid or be voided."""
        invoice = self._take_open(merchant, now)
        tries = (invoice["failure"] or {"tries": 0})["tries"] + 1
        codes = ("insufficient_funds", "card_expired", "mandate_withdrawn")
        next_try_at = moment(now + timedelta(days=3)) if tries < 4 else None
        failure = {"code": self._random.choice(codes), "tries": tries, "next_try_at": next_try_at}
        failed = {**invoice, "status": "payment_failed", "failure": failure}
        self._open.append((merchant.reference, failed))
        return Sample(failed)

    def invoice_voided(self, merchant: PlannedMerchant, now: datetime) -> Sample:
        invoice = self._take_open(merchant, now)
        reason = self._random.choice(("duplicate", "issued_in_error", "order_cancelled"))
        end = {"status": "voided", "amount_due": "0.00", "voided_at": moment(now), "void_reason": reason}
        return Sample({**invoice, **end, "failure": None})

    def _invoice(self, merchant: PlannedMerchant, now: datetime) -> Payload:
        goods = self._random.sample(GOODS, self._random.randint(1, 3))
        lines = [(name, self._random.randint(1, 4), unit) for name, unit in goods]
        subtotal = sum(quantity * unit for _, quantity, unit in lines)
        tax = subtotal * TAX_PERCENT // 100
        return {
            "id": self._id("inv"),
            "number": f"{merchant.initials}-{self._random.randrange(1_000_000):06}",
            "status": "open",
            "customer": self._customer(),
            "currency": merchant.currency,
            "lines": [_line(name, quantity, unit) for name, quantity, unit in lines],
            "subtotal": _amount(subtotal),
            "tax": _amount(tax),
            "total": _amount(subtotal + tax),
            "amount_due": _amount(subtotal + tax),
            "issued_at": moment(now),
            "due_on": (now + timedelta(days=14)).date().isoformat(),
            "payment": None,
            "failure": None,
            "voided_at": None,
            "void_reason": None,
        }

    def _take_open(self, merchant: PlannedMerchant, now: datetime) -> Payload:
        """The merchant's oldest open invoice. In a young world one is made up that was issued yesterday."""
        for entry in self._open:
            if entry[0] == merchant.reference:
                self._open.remove(entry)
                return entry[1]
        return self._invoice(merchant, now - timedelta(days=1))

    def _customer(self) -> Payload:
        number = self._random.randrange(len(PEOPLE))
        return {"id": f"cus_{4100 + 37 * number}", "name": PEOPLE[number], "email": f"customer{number}@example.com"}

    def _counterparty(self, merchant: PlannedMerchant) -> Payload:
        # Check digits 00 are none: nobody has this account.
        number = f"{merchant.country}00 {self._random.randrange(10_000):04} {self._random.randrange(10_000):04}"
        return {"name": self._random.choice(PEOPLE), "account_number": number}

    def _book(self, account: str, cents: int) -> int:
        balance = self._balances.get(account, FIRST_BALANCE_CENTS) + cents
        self._balances[account] = balance
        return balance

    def _id(self, prefix: str) -> str:
        return f"{prefix}_" + "".join(self._random.choices(ID_ALPHABET, k=16))


Maker = Callable[[Books, PlannedMerchant, datetime], Sample]


def moment(value: datetime) -> str:
    """RFC 3339 with offset Z, to the millisecond."""
    return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _money(cents: int, merchant: PlannedMerchant) -> Payload:
    return {"value": _amount(cents), "currency": merchant.currency}


def _amount(cents: int) -> str:
    sign, whole = ("-" if cents < 0 else ""), abs(cents)
    return f"{sign}{whole // 100}.{whole % 100:02}"


def _line(description: str, quantity: int, unit: int) -> Payload:
    return {
        "description": description,
        "quantity": quantity,
        "unit_amount": _amount(unit),
        "amount": _amount(quantity * unit),
    }
