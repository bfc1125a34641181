"""Paisr's webhook API, for its clients."""

from config.api.openapi.areas.endpoint_fields import PAGING, RULES, SECRET, URL, WANTED_TYPES
from config.api.openapi.areas.endpoints import ROTATION_BODY
from config.api.openapi.areas.log import SINCE, UNTIL
from config.api.openapi.areas.publishing import PAYLOAD
from config.api.openapi.operations import Answer, Area, Body, Operation
from config.api.openapi.schemas import (
    BOOLEAN,
    Schema,
    an_id,
    anything,
    choice,
    flag,
    moment,
    number,
    or_null,
    page_of,
    record,
    ref,
    request,
    text,
    whole,
)
from deliveries.paisr import bodies
from deliveries.paisr.representations import STATUS
from dispatcher.ids import Prefix
from subscriptions.services import endpoint_rules, shapes

_NAMES = WANTED_TYPES["anyOf"][0]
EVENTS: Schema = {
    **_NAMES,
    "items": {"anyOf": [_NAMES["items"], {"const": "*"}]},
    "description": 'Names, or prefixes such as `invoice.*`; `["*"]` alone is all.',
    "examples": [["invoice.paid"]],
}
VERSION: Schema = {"type": "integer", "enum": list(bodies.PROFILES), "description": "Of the signature."}
_RULES: dict[str, Schema] = {
    "description": shapes.schema_of(endpoint_rules.CHANGES["description"]) or {},
    "endpoint": RULES["url"],
    "events": EVENTS,
    "version": VERSION,
    "is_active": BOOLEAN,
}
_NEW_RULES = _RULES | {"secret": shapes.schema_of(endpoint_rules.NEW["secret"]) or {}}

WEBHOOK = record(
    {
        "id": an_id(Prefix.ENDPOINT),
        "description": text("Shop"),
        "endpoint": text(URL),
        "events": EVENTS,
        "version": VERSION | {"examples": [1]},
        "is_active": flag(example=True),
        "disabled_reason": or_null(text("http_gone"), is_null=True),
        "created_at": moment(),
        "updated_at": moment(),
        "secret": text(SECRET, "The generated secret; only in the answer that made it."),
    },
    optional=("secret",),
)
EVENT = record(
    {
        "id": text("evt_01kfxwm9jceesrtq0733vx0g8y"),
        "body": anything({"id": PAYLOAD["id"], "event": "invoice.paid"}, "As it goes on the wire."),
        "status": choice(STATUS.values()),
        "type": text("invoice.paid"),
        "can_retry": flag(example=True),
        "retry_count": whole(0),
        "last_retry_at": or_null(moment(), is_null=True),
        "next_retry_at": or_null(moment(), is_null=True),
        "created_at": moment(),
    }
)
STATISTICS = record(
    {
        "since": moment(example="2026-01-30T12:00:00Z"),
        "until": moment(),
        "delivered": whole(10),
        "failed": whole(1),
        "success_ratio": or_null(number(0.909091)),
        "failure_ratio": or_null(number(0.090909)),
        "pending": whole(2),
    }
)
ROTATED = record(
    {"id": an_id(Prefix.ENDPOINT), "secret": text(SECRET), "previous_expires_at": or_null(moment(), is_null=True)}
)
BASE = "/paisr/v1/webhooks"
ONE = f"{BASE}/{{webhook}}"
EXAMPLE = {"description": "Shop", "endpoint": URL, "events": ["*"]}

AREA = Area(
    name="Paisr",
    description="The merchant's endpoints in Paisr's formats, as Paisr's own clients manage them.",
    schemas={
        "NewPaisrWebhook": request(bodies.NEW, required=bodies.REQUIRED, instead=_NEW_RULES),
        "WholePaisrWebhook": request(bodies.CHANGES, required=bodies.REQUIRED, instead=_RULES),
        "PaisrWebhookChanges": request(bodies.CHANGES, instead=_RULES),
        "PaisrWebhook": WEBHOOK,
        "PaisrWebhookPage": page_of(ref("PaisrWebhook")),
        "PaisrEvent": EVENT,
        "PaisrEventPage": page_of(ref("PaisrEvent")),
        "PaisrStatistics": STATISTICS,
        "PaisrRotatedSecret": ROTATED,
    },
    operations={
        f"GET {BASE}": Operation(
            id="listPaisrWebhooks",
            summary="All webhooks, newest first",
            query=PAGING,
            answers={200: Answer(description="A page.", schema=ref("PaisrWebhookPage"))},
        ),
        f"POST {BASE}": Operation(
            id="createPaisrWebhook",
            summary="A new webhook",
            body=Body(schema=ref("NewPaisrWebhook"), examples={"all events": EXAMPLE}),
            is_idempotent=True,
            answers={
                201: Answer(
                    description="Made. A generated `secret` is shown this once.",
                    schema=ref("PaisrWebhook"),
                    headers=("ETag", "Location", "Cache-Control"),
                    gives={"webhook": "$response.body#/id"},
                )
            },
            refusals={409: ("too_many_endpoints", "unknown_profile")},
        ),
        f"GET {ONE}": Operation(
            id="getPaisrWebhook",
            summary="One webhook",
            answers={200: Answer(description="It.", schema=ref("PaisrWebhook"), headers=("ETag",))},
        ),
        f"PUT {ONE}": Operation(
            id="putPaisrWebhook",
            summary="Replace description, endpoint and events",
            body=Body(schema=ref("WholePaisrWebhook"), examples={"all events": EXAMPLE}),
            has_if_match=True,
            answers={200: Answer(description="As it is now.", schema=ref("PaisrWebhook"), headers=("ETag",))},
            refusals={409: ("belongs_to_rule", "unknown_profile")},
        ),
        f"PATCH {ONE}": Operation(
            id="updatePaisrWebhook",
            summary="Change what is named",
            body=Body(schema=ref("PaisrWebhookChanges"), examples={"signature": {"version": 2}}),
            has_if_match=True,
            answers={200: Answer(description="As it is now.", schema=ref("PaisrWebhook"), headers=("ETag",))},
            refusals={409: ("belongs_to_rule", "unknown_profile")},
        ),
        f"DELETE {ONE}": Operation(
            id="deletePaisrWebhook",
            summary="Delete it: deliveries stop at once",
            has_if_match=True,
            answers={204: Answer(description="It is gone.")},
        ),
        f"POST {ONE}/rotate-secret": Operation(
            id="rotatePaisrSecret",
            summary="A new secret; the one before signs beside it for a while",
            body=Body(schema=ROTATION_BODY, examples={"generated": {}}, is_optional=True),
            has_if_match=True,
            is_idempotent=True,
            answers={200: Answer(description="It.", schema=ref("PaisrRotatedSecret"), headers=("Cache-Control",))},
            refusals={409: ("too_many_secrets", "unknown_profile")},
        ),
        f"GET {ONE}/events": Operation(
            id="listPaisrEvents",
            summary="A webhook's events, newest first",
            query=PAGING,
            answers={
                200: Answer(
                    description="A page.",
                    schema=ref("PaisrEventPage"),
                    headers=("Link",),
                )
            },
        ),
        f"POST {ONE}/events/{{event}}/retry": Operation(
            id="retryPaisrEvent",
            summary="Send an event again, now",
            body=Body(schema=request({}), examples={"nothing": {}}, is_optional=True),
            is_idempotent=True,
            answers={202: Answer(description="It is under way.", schema=ref("PaisrEvent"))},
            refusals={409: ("endpoint_closed",)},
        ),
        f"GET {ONE}/stats": Operation(
            id="getPaisrStatistics",
            summary="What came of a webhook's events, by default in the last 24 hours",
            query=(SINCE, UNTIL),
            answers={200: Answer(description="The figures.", schema=ref("PaisrStatistics"))},
        ),
    },
)
