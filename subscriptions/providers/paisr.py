"""Paisr's events: a type and the id of what it happened to."""

from subscriptions.providers.model import CatalogueType, Provider
from subscriptions.providers.schemas import Schema, payload

_ID: Schema = {"type": "string", "minLength": 1, "maxLength": 255}


def _type(name: str, group: str, description: str, example: str) -> CatalogueType:
    """Only `id` leaves the platform; whatever else a payload has stays in the log."""
    return CatalogueType(name, group, description, payload({"id": _ID}, required=("id",)), {"id": example})


def _types(group: str, prefix: str, example: str, **descriptions: str) -> tuple[CatalogueType, ...]:
    return tuple(_type(f"{prefix}.{verb}", group, text, example) for verb, text in descriptions.items())


PROVIDER = Provider(
    name="paisr",
    title="Paisr",
    source=(
        "Paisr developer documentation: webhooks and their events. Refunded and cancelled payments are described there "
        "as well; they are left out here because their names were not to be seen. Ids of other things than invoices "
        "are examples of ours"
    ),
    profile="paisr",
    other_profiles=("paisr-v2",),
    types=(
        *_types(
            "Transfers",
            "transfer",
            "trf_123456",
            inbound="A transfer arrived in one of the wallets.",
            outbound="A transfer was sent from one of the wallets.",
        ),
        *_types(
            "Customers",
            "customer",
            "cus_123456",
            created="A customer was added.",
            updated="A customer's details were changed.",
            removed="A customer was removed.",
        ),
        *_types(
            "Invoices",
            "invoice",
            "inv_123456",
            created="An invoice was issued to a customer.",
            removed="An invoice was deleted and is no longer valid.",
            paid="A payment came in, and the invoice counts as paid.",
        ),
        *_types(
            "Vouchers",
            "voucher",
            "vou_123456",
            created="A discount voucher was made.",
            updated="A voucher's details were changed.",
            applied="A voucher was applied to a transaction or an invoice.",
            removed="A voucher was deleted or switched off.",
        ),
        *_types(
            "Plans",
            "plan",
            "pln_123456",
            created="A billing plan was made.",
            updated="A billing plan was changed.",
            removed="A billing plan was removed.",
        ),
        *_types(
            "Subscriptions",
            "subscription",
            "sub_123456",
            created="A subscription was begun for a customer.",
            updated="A subscription's details were changed.",
            active="A subscription was activated.",
            expired="A subscription came to the end of its last billing cycle.",
            suspended="A subscription was paused.",
            cancelled="A subscription was cancelled, by hand or automatically.",
            removed="A subscription was deleted.",
        ),
    ),
)
