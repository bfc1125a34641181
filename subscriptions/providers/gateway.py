"""The payment gateway's events: processing, billing and management, for everything below a portfolio or reseller."""

from typing import Any

from subscriptions.providers.model import CatalogueType, Provider
from subscriptions.providers.schemas import TEXT, Schema, always, payload

_CHANGED: Schema = {
    "type": "array",
    "items": TEXT,
    "minItems": 1,
    "uniqueItems": True,
    "description": "The names of the fields that were changed.",
}


def _schema(data_type: str, *, is_modified: bool = False) -> Schema:
    """The object itself is open: its members are not published as a schema."""
    properties: Schema = {"dataType": always(data_type), "id": TEXT}
    if is_modified:
        return payload(properties | {"changed": _CHANGED}, required=("dataType", "id", "changed"))
    return payload(properties, required=("dataType", "id"))


def _processing(what: str, description: str, **members: Any) -> CatalogueType:
    example = {"dataType": "Transaction", "id": "70010452", "amount": "48.20", "currency": "USD", **members}
    return CatalogueType(f"processing.{what}-processed", "Processing", description, _schema("Transaction"), example)


def _object(module: str, what: str, description: str, **members: Any) -> CatalogueType:
    is_modified = what.endswith("-modified")
    example = {"dataType": "Object", **members}
    schema = _schema("Object", is_modified=is_modified)
    return CatalogueType(f"{module}.{what}", module.capitalize(), description, schema, example)


PROVIDER = Provider(
    name="gateway",
    title="Payment gateway",
    source=(
        "Payment gateway Webhook API: events, data types and field modification. What the objects hold besides "
        "`dataType` and `changed` is an example of ours"
    ),
    profile="gateway",
    types=(
        _processing("return", "A bank returned a direct debit.", returnCode="R01"),
        _processing("noc", "A bank gave notice that account details have changed.", changeCode="C01"),
        _processing("chargeback", "A card holder's bank charged a payment back.", reasonCode="10.4"),
        _processing("reversal", "A chargeback or payment was reversed.", reasonCode="00"),
        _object("billing", "payment-option-created", "A payment option was created.", id="po-3381", isActive=True),
        _object(
            "billing",
            "payment-option-modified",
            "A payment option was activated or deactivated.",
            id="po-3381",
            isActive=False,
            changed=["isActive"],
        ),
        _object("billing", "subscription-created", "A subscription was created.", id="sb-9204", status="active"),
        _object(
            "billing",
            "subscription-modified",
            "The status of a subscription was changed.",
            id="sb-9204",
            status="suspended",
            changed=["status"],
        ),
        _object(
            "billing",
            "transaction-created",
            "Something was booked on a customer's account.",
            id="bt-55120",
            activityType="RI",
            amount="48.20",
        ),
        _object(
            "billing",
            "allocation-created",
            "A payment was linked to an invoice.",
            id="al-1287",
            transactionId="bt-55120",
            amount="48.20",
        ),
        _object("management", "merchant-created", "A merchant was created.", id="m-501", name="Tern Office Supply"),
        _object(
            "management",
            "merchant-modified",
            "A merchant was modified.",
            id="m-501",
            name="Tern Office Supply Ltd",
            changed=["name"],
        ),
        _object("management", "terminal-created", "A terminal was created.", id="t-8801", merchantId="m-501"),
        _object(
            "management",
            "terminal-modified",
            "A terminal was modified.",
            id="t-8801",
            merchantId="m-501",
            isActive=False,
            changed=["isActive"],
        ),
    ),
)
