"""The event types in which the platform tells about itself: their names are reserved, their payloads documented."""

from enum import StrEnum

from subscriptions.providers.model import CatalogueType, JsonObject
from subscriptions.providers.schemas import MOMENT, TEXT, WHOLE, Schema, one_of, payload

GROUP = "signet"
# Nobody else's types may be called so, or begin so.


class Operation(StrEnum):
    """What happens to the platform itself that providers and merchants can hear of."""

    ENDPOINT_DISABLED = "signet.endpoint.disabled"
    ENDPOINT_FAILING = "signet.endpoint.failing"
    ENDPOINT_RECOVERED = "signet.endpoint.recovered"
    DELIVERY_FAILED = "signet.delivery.failed"
    SECRET_ROTATED = "signet.secret.rotated"  # noqa: S105 - the name of an event type


def is_reserved(event_type: str) -> bool:
    """Whether only the platform itself may make, change or publish a type of this name."""
    return event_type == GROUP or event_type.startswith(f"{GROUP}.")


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


_NULLABLE = {name: _or_null(schema) for name, schema in {"text": TEXT, "moment": MOMENT, "whole": WHOLE}.items()}
_MERCHANT: Schema = {
    "type": "object",
    "properties": {"id": TEXT, "reference": _NULLABLE["text"]},
    "required": ["id", "reference"],
}
_RESULT: Schema = {"reason": TEXT, "message": TEXT, "response_code": _NULLABLE["whole"]}
# The last attempt's reason as a code, the same in plain words, and the status of the answer where there was one.
_MERCHANT_SHOWN = {"id": "mer_01kfxwm9jceesrtq0733vx0g8y", "reference": "shop-17"}
_ENDPOINT = "ep_01kfxwm9jceesrtq0733vx0g8y"
_EVENT = "evt_01kfxwm9jceesrtq0733vx0g8y"
_RESULT_SHOWN = {"reason": "http_server_error", "message": "The receiver failed", "response_code": 503}
_API = "https://signet.example/api/v2/webhooks"
_LINKS = {"endpoint": f"{_API}/endpoints/{_ENDPOINT}?merchant=mer_01kfxwm9jceesrtq0733vx0g8y"}


def _type(operation: Operation, description: str, members: Schema, example: JsonObject) -> CatalogueType:
    """Every payload says which merchant's endpoint it is about, when it happened, and where to read more."""
    links: Schema = {"type": "object", "additionalProperties": TEXT}
    shared = {"type": one_of(operation.value), "occurred_at": MOMENT, "merchant": _MERCHANT, "endpoint": TEXT}
    properties = {**shared, **members, "links": links}
    head = {"type": operation.value, "occurred_at": "2026-01-31T12:00:00Z", "merchant": _MERCHANT_SHOWN}
    return CatalogueType(
        name=operation.value,
        group=GROUP,
        description=description,
        schema=payload(properties, required=properties),
        example={**head, "endpoint": _ENDPOINT, "links": _LINKS, **example},
    )


TYPES = (
    _type(
        Operation.ENDPOINT_DISABLED,
        "An endpoint was switched off: by its owner or an operator, because its receiver answered 410, or because it "
        "took nothing for days. What is published for it from now on is held.",
        {
            "reason": TEXT,
            "message": TEXT,
            "failing_since": _NULLABLE["moment"],
            "last_attempt": _or_null({"type": "object", "properties": _RESULT, "required": list(_RESULT)}),
        },
        {
            "reason": "failing",
            "message": "It took nothing for days",
            "failing_since": "2026-01-26T12:00:00Z",
            "last_attempt": _RESULT_SHOWN,
        },
    ),
    _type(
        Operation.ENDPOINT_FAILING,
        "An endpoint has taken nothing for half of the time after which it is switched off. Said once, until it has "
        "recovered.",
        {**_RESULT, "failing_since": MOMENT, "disabled_after_days": WHOLE},
        {**_RESULT_SHOWN, "failing_since": "2026-01-29T00:00:00Z", "disabled_after_days": 5},
    ),
    _type(
        Operation.ENDPOINT_RECOVERED,
        "An endpoint that was said to be failing takes deliveries again.",
        {"reported_at": MOMENT},
        {"reported_at": "2026-01-31T00:00:00Z"},
    ),
    _type(
        Operation.DELIVERY_FAILED,
        "A delivery has used up its schedule, or its receiver said that it shall not be tried again: it will not be "
        "sent any more unless somebody asks for it.",
        {
            **_RESULT,
            "delivery": TEXT,
            "event": {
                "type": "object",
                "properties": {"id": TEXT, "type": TEXT, "account": _NULLABLE["text"]},
                "required": ["id", "type", "account"],
            },
            "attempts": WHOLE,
        },
        {
            **_RESULT_SHOWN,
            "delivery": "del_01kfxwm9jceesrtq0733vx0g8z",
            "event": {"id": _EVENT, "type": "invoice.paid", "account": "acc-1001"},
            "attempts": 10,
            "links": {**_LINKS, "event": f"{_API}/events/{_EVENT}?merchant=mer_01kfxwm9jceesrtq0733vx0g8y"},
        },
    ),
    _type(
        Operation.SECRET_ROTATED,
        "An endpoint has a new signing secret. The one before goes on signing beside it until `previous_expires_at`.",
        {"secret": TEXT, "previous_expires_at": _NULLABLE["moment"]},
        {"secret": "sec_01kfxwm9jceesrtq0733vx0g8y", "previous_expires_at": "2026-02-01T12:00:00Z"},
    ),
)
