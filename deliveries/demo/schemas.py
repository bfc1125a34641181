"""JSON Schemas of the demo's payloads. Source of the vocabulary: JSON Schema 2020-12."""

from typing import Any

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

AMOUNT = {"type": "string", "pattern": r"^-?[0-9]+\.[0-9]{2}$"}
# A text, as in many payment APIs: no reader can lose a cent to floating point.
MOMENT = {"type": "string", "format": "date-time"}
DAY = {"type": "string", "format": "date"}
TEXT = {"type": "string"}
LAST_FOUR = {"type": "string", "pattern": "^[0-9]{4}$"}


def record(**properties: Schema) -> Schema:
    """An object with exactly these members. One that may have no value is there all the same, as null."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def resource(**properties: Schema) -> Schema:
    return {"$schema": DIALECT, **record(**properties)}


def one_of(*values: str) -> Schema:
    return {"type": "string", "enum": list(values)}


def id_of(prefix: str) -> Schema:
    return {"type": "string", "pattern": f"^{prefix}_[0-9a-z]+$"}


def optional(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


MONEY = record(value=AMOUNT, currency={"type": "string", "pattern": "^[A-Z]{3}$"})

CARD_TRANSACTION = resource(
    id=id_of("ctx"),
    card_id=id_of("card"),
    account_id=id_of("acct"),
    kind=one_of("purchase", "withdrawal", "refund"),
    status=one_of("authorised", "cleared", "declined", "reversed"),
    amount=MONEY,
    entry_mode=one_of("chip", "contactless", "ecommerce", "wallet"),
    last_four=LAST_FOUR,
    authorisation_code=optional({"type": "string", "pattern": "^[0-9]{6}$"}),
    decline_reason=optional(one_of("insufficient_funds", "card_blocked", "limit_exceeded", "wrong_pin")),
    acceptor=record(
        name=TEXT,
        category_code={"type": "string", "pattern": "^[0-9]{4}$"},
        city=TEXT,
        country={"type": "string", "pattern": "^[A-Z]{2}$"},
    ),
    created_at=MOMENT,
)

ACCOUNT_TRANSACTION = resource(
    id=id_of("atx"),
    account_id=id_of("acct"),
    kind=one_of("transfer_in", "transfer_out", "card_settlement", "fee"),
    amount=MONEY,
    balance_after=MONEY,
    counterparty=optional(record(name=TEXT, account_number=TEXT)),
    reference=TEXT,
    booked_at=MOMENT,
    value_date=DAY,
)

ACCOUNT_TOPUP = resource(
    id=id_of("top"),
    account_id=id_of("acct"),
    method=one_of("bank_transfer", "card", "cash"),
    status=one_of("completed", "pending", "failed"),
    amount=MONEY,
    balance_after=MONEY,
    requested_at=MOMENT,
    completed_at=optional(MOMENT),
)

CARD_STATE = resource(
    id=id_of("card"),
    account_id=id_of("acct"),
    last_four=LAST_FOUR,
    previous_state=one_of("ordered", "inactive", "active", "blocked"),
    state=one_of("inactive", "active", "blocked", "closed"),
    reason=one_of("activated_by_holder", "blocked_by_holder", "suspected_fraud", "unblocked", "delivered", "lost"),
    changed_by=one_of("holder", "platform", "support"),
    changed_at=MOMENT,
)

_LINE = record(description=TEXT, quantity={"type": "integer", "minimum": 1}, unit_amount=AMOUNT, amount=AMOUNT)


def invoice(status: str) -> Schema:
    """An invoice in one state of its life. It has the same members in all of them."""
    return resource(
        id=id_of("inv"),
        number={"type": "string", "pattern": "^[A-Z]{2}-[0-9]{6}$"},
        status={"const": status},
        customer=record(id=id_of("cus"), name=TEXT, email=TEXT),
        currency={"type": "string", "pattern": "^[A-Z]{3}$"},
        lines={"type": "array", "items": _LINE, "minItems": 1},
        subtotal=AMOUNT,
        tax=AMOUNT,
        total=AMOUNT,
        amount_due=AMOUNT,
        issued_at=MOMENT,
        due_on=DAY,
        payment=optional(record(id=id_of("pay"), method=one_of("card", "direct_debit", "transfer"), paid_at=MOMENT)),
        failure=optional(
            record(
                code=one_of("insufficient_funds", "card_expired", "mandate_withdrawn"),
                tries={"type": "integer", "minimum": 1},
                next_try_at=optional(MOMENT),
            )
        ),
        voided_at=optional(MOMENT),
        void_reason=optional(one_of("duplicate", "issued_in_error", "order_cancelled")),
    )
