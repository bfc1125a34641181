"""Paysafe's payment events: handles, payments, settlements and standalone credits."""

from typing import Any

from subscriptions.providers.model import CatalogueType, Provider
from subscriptions.providers.schemas import CURRENCY, MOMENT, TEXT, Schema, always, one_of, payload

API = "https://api.paysafe.example"
# Where the links of the examples lead.

STATUS: Schema = {"type": "string", "pattern": "^[A-Z_]+$"}
_LINK: Schema = {
    "type": "object",
    "properties": {"href": {"type": "string", "format": "uri"}, "rel": TEXT},
    "required": ["href", "rel"],
}
_LINKS: Schema = {"type": "array", "items": _LINK}


def _schema(transaction: str, status: Schema) -> Schema:
    """The resource in brief; its links lead to the rest, so other members are welcome."""
    properties = {
        "id": TEXT,
        "accountId": TEXT,
        "merchantRefNum": TEXT,
        "paymentHandleToken": TEXT,
        "transactionType": one_of("PAYMENT", "STANDALONE_CREDIT") if transaction == "HANDLE" else always(transaction),
        "amount": {"type": "integer", "minimum": 1, "description": "In the currency's smallest unit."},
        "currencyCode": CURRENCY,
        "status": status,
        "paymentType": TEXT,
        "txnTime": MOMENT,
        "updatedTime": MOMENT,
        "statusTime": MOMENT,
        "links": _LINKS,
        "_links": _LINKS,
    }
    return payload(properties, required=("id", "merchantRefNum", "amount", "currencyCode", "status"))


def _example(resource: str, transaction: str, status: str) -> dict[str, Any]:
    id_ = "4e32ba5d-1c87-47fb-871a-b972cf8fd19e"
    return {
        "id": id_,
        "accountId": "1002786770",
        "merchantRefNum": "order-10482",
        "paymentHandleToken": "PHexample0000001",
        "transactionType": transaction,
        "amount": 2999,
        "currencyCode": "EUR",
        "status": status,
        "paymentType": "CARD",
        "txnTime": "2026-03-02T09:30:00Z",
        "links": [{"rel": resource, "href": f"{API}/paymenthub/v1/{resource}s/{id_}"}],
    }


def _handle(status: str, description: str) -> CatalogueType:
    schema, example = _schema("HANDLE", always(status)), _example("paymenthandle", "PAYMENT", status)
    return CatalogueType(f"PAYMENT_HANDLE_{status}", "Payment handles", description, schema, example)


def _payment(name: str, status: str, description: str) -> CatalogueType:
    resource = "settlement" if name.startswith("SETTLEMENT") else "payment"
    schema, example = _schema("PAYMENT", always(status)), _example(resource, "PAYMENT", status)
    return CatalogueType(name, f"{resource.capitalize()}s", description, schema, example)


def _credit(name: str, status: str, description: str) -> CatalogueType:
    """What the resource's status is called then is not published for each of them."""
    schema = _schema("STANDALONE_CREDIT", STATUS)
    example = _example("standalonecredit", "STANDALONE_CREDIT", status)
    return CatalogueType(name, "Standalone credits", description, schema, example)


PROVIDER = Provider(
    name="paysafe",
    title="Paysafe",
    source=(
        "Paysafe developer documentation, Payments API: webhooks of the payment methods. A subset of the names there; "
        "the members of the payload are those of its examples"
    ),
    profile="paysafe",
    types=(
        _handle("PAYABLE", "The payment handle can be used: the next call, the payment itself, may be made."),
        _handle("PROCESSING", "The customer was sent on to the payment method and has begun."),
        _handle("COMPLETED", "The payment or credit that the handle was made for was requested."),
        _handle("EXPIRED", "The handle was not used within its time."),
        _handle("FAILED", "The customer did not get through the payment method."),
        _payment("PAYMENT_PROCESSING", "PROCESSING", "The payment is in progress."),
        _payment("PAYMENT_PENDING", "PENDING", "The payment waits for money that is on its way."),
        _payment("PAYMENT_COMPLETED", "COMPLETED", "The payment was completed."),
        _payment("PAYMENT_FAILED", "FAILED", "The payment failed."),
        _payment("SETTLEMENT_COMPLETED", "COMPLETED", "The payment was settled."),
        _credit("SA_CREDIT_FAILED", "FAILED", "A standalone credit that looked completed failed afterwards."),
        _credit("SA_CREDIT_CANCELLED", "CANCELLED", "A standalone credit was cancelled."),
        _credit("SA_CREDIT_ERRORED", "ERROR", "A standalone credit could not be begun for a technical reason."),
    ),
)
