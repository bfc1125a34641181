"""Paysera's account events, one type for each condition that a rule can name."""

from typing import Any

from subscriptions.providers.model import CatalogueType, Provider
from subscriptions.providers.schemas import CURRENCY, POSITIVE_AMOUNT, TEXT, WHOLE, Schema, always, one_of, payload

GROUP = "Payment account"

_ALWAYS = ("type", "account", "statement_id", "transfer_id", "created_at")
_PARTIES = ("name", "code", "account")


def _common(kind: str) -> Schema:
    return {"type": always(kind), "account": TEXT, "statement_id": WHOLE, "transfer_id": WHOLE, "created_at": WHOLE}


def _party(side: str) -> Schema:
    """All of it may be absent: empty parameters are left out."""
    return {f"{side}_{part}": TEXT for part in _PARTIES}


def _movement(kind: str, credit: Schema, *sides: str) -> Schema:
    """Money that came or went, in one currency."""
    properties = {
        **_common(kind),
        "credit": credit,
        "amount": POSITIVE_AMOUNT,
        "currency": CURRENCY,
        "details": TEXT,
    }
    for side in sides:
        properties |= _party(side)
    return payload(properties, required=(*_ALWAYS, "credit", "amount", "currency"), is_closed=True)


def _exchange() -> Schema:
    """`credit` is absent: money goes and comes at once."""
    properties = {
        **_common("FX"),
        "from_amount": POSITIVE_AMOUNT,
        "from_currency": CURRENCY,
        "to_amount": POSITIVE_AMOUNT,
        "to_currency": CURRENCY,
    }
    amounts = ("from_amount", "from_currency", "to_amount", "to_currency")
    return payload(properties, required=(*_ALWAYS, *amounts), is_closed=True)


def _example(kind: str, number: int, **rest: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "account": "EVP0000000000001",
        "statement_id": 400_000_000 + number,
        "transfer_id": 900_000_000 + number,
        "created_at": 1_772_443_800,
        **rest,
    }


PROVIDER = Provider(
    name="paysera",
    title="Paysera",
    source=(
        "Paysera Notification API documentation, event reference. The parameters are Paysera's; the names of the types "
        "are ours: Paysera names conditions, not types"
    ),
    profile="paysera",
    other_profiles=("paysera-checkout", "paysera-checkout-classic"),
    key_families=("rsa",),
    types=(
        CatalogueType(
            "payment.incoming",
            GROUP,
            "Money arrived on the account.",
            _movement("MK", always(1), "payer"),
            _example(
                "MK",
                1,
                credit=1,
                amount="29.99",
                currency="EUR",
                details="Invoice 2026-0117",
                payer_name="Ieva Petraitytė",
                payer_account="LT000000000000000017",
            ),
        ),
        CatalogueType(
            "payment.outgoing",
            GROUP,
            "A transfer left the account.",
            _movement("MK", always(0), "beneficiary"),
            _example(
                "MK",
                2,
                credit=0,
                amount="410.00",
                currency="EUR",
                details="Kiln gas, March",
                beneficiary_name="Copperline Energy",
                beneficiary_code="000000000",
                beneficiary_account="LT000000000000000029",
            ),
        ),
        CatalogueType(
            "exchange.completed",
            GROUP,
            "Money of the account was exchanged into another currency.",
            _exchange(),
            _example("FX", 3, from_amount="10.00", from_currency="EUR", to_amount="34.54", to_currency="USD"),
        ),
        CatalogueType(
            "deposit.received",
            GROUP,
            "Money was deposited on the account.",
            _movement("HO", always(1), "payer"),
            _example("HO", 4, credit=1, amount="250.00", currency="EUR", details="Cash deposit"),
        ),
        CatalogueType(
            "statement.other",
            GROUP,
            "Something else was booked on the account, such as a fee.",
            _movement("MM", one_of(0, 1), "payer", "beneficiary"),
            _example("MM", 5, credit=0, amount="2.00", currency="EUR", details="Monthly fee"),
        ),
    ),
)
