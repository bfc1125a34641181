"""The provider publishes events."""

from config.api.openapi.operations import Answer, Area, Body, Operation
from config.api.openapi.schemas import NO_NUL, NULL, Schema, an_id, flag, list_of, record, ref, request, told, whole
from deliveries.api import event_bodies
from deliveries.models.ledger import EXTERNAL_ID_LENGTH
from deliveries.services.publish_checks import BATCH_EVENTS, KEY_LENGTH
from dispatcher.ids import Prefix
from subscriptions.models.catalogue import EVENT_TYPE_LENGTH, EVENT_TYPE_PATTERN
from subscriptions.models.merchants import REFERENCE_LENGTH

PAYLOAD = {"id": "inv_1001", "amount": "12.40", "currency": "EUR"}
_NAME: Schema = {"type": "string", "minLength": 1, "maxLength": REFERENCE_LENGTH, "pattern": NO_NUL}
_RULES: dict[str, Schema] = {
    "type": {"type": "string", "maxLength": EVENT_TYPE_LENGTH, "pattern": EVENT_TYPE_PATTERN},
    "merchant": {"anyOf": [_NAME, NULL]},
    "account": {"anyOf": [_NAME, NULL]},
    "id": {"anyOf": [{"type": "string", "pattern": "^[!-~]+$", "maxLength": EXTERNAL_ID_LENGTH, "minLength": 1}, NULL]},
    "occurred_at": {"anyOf": [{"type": "string", "format": "date-time"}, NULL]},
}
_WORDS = {
    "type": "One of the catalogue that is not archived.",
    "payload": "Any JSON. Its bytes are kept and delivered exactly as they are sent here.",
    "merchant": "The id or reference of a merchant. This or `account` is needed.",
    "account": "The reference of an account that belongs to a merchant.",
    "id": "Your own id of the event, unique: the same again is a duplicate.",
    "occurred_at": "By default now.",
}
_KEY: Schema = {"anyOf": [{"type": "string", "minLength": 1, "maxLength": KEY_LENGTH, "pattern": NO_NUL}, NULL]}
_NAMED: Schema = {"anyOf": [{"required": [name], "properties": {name: _NAME}} for name in ("merchant", "account")]}


def _event(*, with_key: bool = False) -> Schema:
    shape = event_bodies.BATCHED_EVENT if with_key else event_bodies.EVENT
    rules = _RULES | ({"idempotency_key": _KEY} if with_key else {})
    return request(shape, required=("type", "payload"), instead=rules, say=_WORDS) | _NAMED


BATCH: Schema = {
    "type": "object",
    "properties": {
        "events": {"type": "array", "items": ref("BatchedEvent"), "minItems": 1, "maxItems": BATCH_EVENTS},
    },
    "required": ["events"],
    "additionalProperties": False,
}
ACCEPTED = record(
    {
        "id": told(an_id(Prefix.EVENT) | {"pattern": "^[!-~]+$"}, "Yours, if you gave one."),
        "duplicate": flag("Whether this had been published before; then nothing new was stored."),
        "deliveries": whole(1, "To how many endpoints it is owed."),
    }
)
BASE = "/api/v2/events"
EXAMPLE = {"type": "invoice.paid", "merchant": "shop-17", "payload": PAYLOAD}

AREA = Area(
    name="Publishing",
    description="The provider's events: one, or many at once.",
    schemas={
        "NewEvent": _event(),
        "BatchedEvent": _event(with_key=True),
        "EventBatch": BATCH,
        "Accepted": ACCEPTED,
        "AcceptedBatch": record({"events": list_of(ref("Accepted"))}),
    },
    operations={
        f"POST {BASE}": Operation(
            id="publishEvent",
            summary="Publish one event",
            description="Stored before it is answered. Whether an endpoint wants it makes no difference to the answer's"
            " status.",
            body=Body(
                schema=ref("NewEvent"),
                examples={
                    "for a merchant": EXAMPLE,
                    "with everything": {
                        **EXAMPLE,
                        "account": "acc-1001",
                        "id": "invoice-1001-paid",
                        "occurred_at": "2026-01-31T11:59:58.5+02:00",
                    },
                },
            ),
            is_idempotent=True,
            answers={
                202: Answer(description="It is stored.", schema=ref("Accepted"), gives={"event": "$response.body#/id"})
            },
            refusals={409: ("try_again",)},
        ),
        f"POST {BASE}/batch": Operation(
            id="publishBatch",
            summary="Publish many events, all or none of them",
            body=Body(
                schema=ref("EventBatch"),
                examples={"two": {"events": [EXAMPLE, {**EXAMPLE, "idempotency_key": "invoice-1002"}]}},
            ),
            is_idempotent=True,
            answers={202: Answer(description="They are stored.", schema=ref("AcceptedBatch"))},
            refusals={409: ("try_again",)},
        ),
    },
)
