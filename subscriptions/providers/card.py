"""The card and account platform's events, each the resource as its REST API answers it."""

from collections.abc import Mapping

from subscriptions.providers.model import CatalogueType, Provider
from subscriptions.providers.schemas import AMOUNT, MOMENT, TEXT, Schema, payload

_CARD = "019cd7a9-8482-708a-addc-63885bd9403c"
_ACCOUNT = "019d2236-2511-728e-96de-27fca03a9c48"
_FOUR_DIGITS: Schema = {"type": "string", "pattern": "^[0-9]{4}$"}
_WRITTEN: Schema = {"createdAt": MOMENT, "updatedAt": MOMENT}
_CODE: Schema = {"type": "string", "pattern": "^[A-Z0-9]{3,12}$"}
# Of a currency; those of crypto-assets are longer than ISO 4217's, and have digits.


def _resource(required: Mapping[str, Schema], optional: Mapping[str, Schema]) -> Schema:
    """Open: the platform's resources may have members of the banks and networks behind it."""
    members = {"id": TEXT, **required, "status": TEXT, **_WRITTEN}
    return payload({**members, **optional}, required=list(members))


PROVIDER = Provider(
    name="card",
    title="Card platform",
    source=(
        "Card and account platform, merchant API v2: webhooks and their events. The members of `card_state` besides "
        "its status are ours, after those of the other three"
    ),
    profile="default",
    types=(
        CatalogueType(
            "card_transaction",
            "Cards",
            "A card transaction was created, confirmed or cleared, or its status changed.",
            _resource(
                {"cardUuid": TEXT, "accountUuid": TEXT, "amount": AMOUNT, "currency": _CODE, "type": TEXT},
                {"merchantName": TEXT, "merchantCategory": _FOUR_DIGITS},
            ),
            {
                "id": "9f283e59-21ec-4c74-ae32-156d49cd9cf2",
                "cardUuid": _CARD,
                "accountUuid": _ACCOUNT,
                "amount": "50.00",
                "currency": "EUR",
                "type": "purchase",
                "status": "completed",
                "merchantName": "Harbour Fuel",
                "merchantCategory": "5541",
                "createdAt": "2026-03-02T09:30:00+00:00",
                "updatedAt": "2026-03-02T09:31:00+00:00",
            },
        ),
        CatalogueType(
            "account_transaction",
            "Accounts",
            "An account transaction was created, confirmed or cleared, or its status changed.",
            _resource({"accountUuid": TEXT, "amount": AMOUNT, "currency": _CODE, "type": TEXT}, {}),
            {
                "id": "f635c1d9-8e9d-4a01-b69f-e964282c24e9",
                "accountUuid": _ACCOUNT,
                "amount": "1000.00",
                "currency": "EUR",
                "type": "payin",
                "status": "completed",
                "createdAt": "2026-03-02T10:00:00+00:00",
                "updatedAt": "2026-03-02T10:05:00+00:00",
            },
        ),
        CatalogueType(
            "account_topup",
            "Accounts",
            "A top-up of an account was received or confirmed, or its status changed.",
            _resource({"accountUuid": TEXT, "currency": _CODE, "amount": AMOUNT}, {}),
            {
                "id": "abc123e4-5678-40ab-8def-1234567890ab",
                "accountUuid": _ACCOUNT,
                "currency": "EUR",
                "amount": "100.00",
                "status": "completed",
                "createdAt": "2026-03-02T10:00:00+00:00",
                "updatedAt": "2026-03-02T10:05:00+00:00",
            },
        ),
        CatalogueType(
            "card_state",
            "Cards",
            "A card was created, or its status changed.",
            _resource({}, {"accountUuid": TEXT, "lastFour": _FOUR_DIGITS}),
            {
                "id": _CARD,
                "accountUuid": _ACCOUNT,
                "lastFour": "4417",
                "status": "active",
                "createdAt": "2026-02-11T08:00:00+00:00",
                "updatedAt": "2026-03-02T10:00:00+00:00",
            },
        ),
    ),
)
