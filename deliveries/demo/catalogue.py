"""The demo provider's event types: what each says, how its payload looks, how often it happens."""

from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

from deliveries.demo import schemas
from deliveries.demo.cast import MERCHANTS
from deliveries.demo.samples import Books, Maker, Payload
from deliveries.demo.schemas import Schema

EXAMPLE_AT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
# Examples are made once and for all: the same in every run and on every machine.


@dataclass(frozen=True, slots=True)
class PlannedType:
    """One type of event. `weight` is its share of the stream."""

    name: str
    group: str
    description: str
    schema: Schema
    make: Maker
    weight: int

    @property
    def example(self) -> Payload:
        return self.make(Books(Random(self.name)), MERCHANTS[0], EXAMPLE_AT).payload  # noqa: S311 - sample data


TYPES = (
    PlannedType(
        "card_transaction",
        "Cards",
        "A card was used: the transaction was authorised, declined, cleared or reversed. The payload is the "
        "transaction as `GET /card-transactions/{id}` answers it.",
        schemas.CARD_TRANSACTION,
        Books.card_transaction,
        40,
    ),
    PlannedType(
        "card_state",
        "Cards",
        "A card changed its state: it was activated, blocked, unblocked or closed.",
        schemas.CARD_STATE,
        Books.card_state,
        5,
    ),
    PlannedType(
        "account_transaction",
        "Accounts",
        "Money was booked on an account, with the balance that resulted.",
        schemas.ACCOUNT_TRANSACTION,
        Books.account_transaction,
        20,
    ),
    PlannedType(
        "account_topup",
        "Accounts",
        "A top-up of an account was completed, is on its way, or failed.",
        schemas.ACCOUNT_TOPUP,
        Books.account_topup,
        8,
    ),
    PlannedType(
        "invoice.created",
        "Invoices",
        "An invoice was issued to a customer and waits to be paid.",
        schemas.invoice("open"),
        Books.invoice_created,
        11,
    ),
    PlannedType(
        "invoice.paid",
        "Invoices",
        "An invoice was paid in full.",
        schemas.invoice("paid"),
        Books.invoice_paid,
        9,
    ),
    PlannedType(
        "invoice.payment_failed",
        "Invoices",
        "A payment of an invoice failed. `failure.next_try_at` says when it is tried again, if it is.",
        schemas.invoice("payment_failed"),
        Books.invoice_payment_failed,
        5,
    ),
    PlannedType(
        "invoice.voided",
        "Invoices",
        "An invoice was voided and need not be paid any more.",
        schemas.invoice("voided"),
        Books.invoice_voided,
        2,
    ),
)
