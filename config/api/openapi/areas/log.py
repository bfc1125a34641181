"""The merchant's delivery log, and trying endpoints out."""

from config.api.openapi.areas.endpoint_fields import CURSOR_TEXT, LIMIT, URL
from config.api.openapi.areas.endpoints import ONE
from config.api.openapi.areas.publishing import PAYLOAD
from config.api.openapi.operations import Answer, Area, Body, Operation, Parameter
from config.api.openapi.schemas import (
    NULL,
    Schema,
    an_id,
    anything,
    choice,
    flag,
    list_of,
    moment,
    number,
    or_null,
    record,
    ref,
    request,
    text,
    whole,
)
from deliveries.api import trial_views
from deliveries.api.log_queries import OFFSET_MAX
from deliveries.api.representations import PHASES
from deliveries.models import Attempt, Delivery
from deliveries.models.ledger import EXTERNAL_ID_LENGTH
from dispatcher.ids import Prefix
from dispatcher.outcomes import Reason
from subscriptions.models import Merchant
from subscriptions.models.catalogue import EVENT_TYPE_LENGTH, EVENT_TYPE_PATTERN
from subscriptions.models.merchants import REFERENCE_LENGTH
from subscriptions.services import shapes

TYPE_NAME: Schema = {"type": "string", "minLength": 1, "maxLength": EVENT_TYPE_LENGTH, "pattern": EVENT_TYPE_PATTERN}
SINCE = Parameter(name="since", schema={"type": "string", "format": "date-time"})
UNTIL = Parameter(name="until", schema={"type": "string", "format": "date-time"})
EVENT_TYPE = Parameter(name="event_type", schema=TYPE_NAME)
ENDPOINT = Parameter(name="endpoint", schema={key: an_id(Prefix.ENDPOINT)[key] for key in ("type", "pattern")})
ACCOUNT = Parameter(
    name="account",
    schema={"type": "string", "minLength": 1, "maxLength": REFERENCE_LENGTH, "pattern": shapes.LINE},
)
CURSOR = Parameter(name="cursor", schema=CURSOR_TEXT, description="As in the `Link` of the page before.")

ENDPOINT_EXAMPLE = an_id(Prefix.ENDPOINT)["examples"][0]
EVENT_ID: Schema = {
    **text(an_id(Prefix.EVENT)["examples"][0], "The provider's own id, if it gave one.", pattern="^[!-~]+$"),
    "maxLength": EXTERNAL_ID_LENGTH,
}
ERROR = or_null(choice(Reason), is_null=True)
DELIVERY = {
    "delivery_id": an_id(Prefix.DELIVERY),
    "endpoint_id": an_id(Prefix.ENDPOINT),
    "delivery_status": choice(Delivery.Status.values),
    "delivery_attempts": whole(1),
    "delivery_response_code": or_null(whole(200)),
    "delivery_error": ERROR,
    "next_attempt_at": or_null(moment(), is_null=True),
}
PAYLOAD_WORDS = "As published, byte for byte. Null once it was expunged."
EXPUNGED_AT = or_null(moment("When its contents were taken away."), is_null=True)
LOG_ROW = record(
    {
        "id": EVENT_ID,
        **DELIVERY,
        "event_type": TYPE_NAME | {"examples": ["invoice.paid"]},
        "account": or_null(text("acc-1001")),
        "payload": anything(PAYLOAD, PAYLOAD_WORDS),
        "created_at": moment(),
        "expunged_at": EXPUNGED_AT,
    }
)
HEADER_LIST = list_of(record({"name": text("Content-Type"), "value": text("application/json")}))
BODY = {
    "body": or_null(text('{"id":"inv_1001"}'), is_null=False),
    "is_body_base64": flag("Whether `body` is base64, because it is no UTF-8."),
}
MILLISECONDS = record({name: or_null(number(1.5)) for name in PHASES})
ATTEMPT = record(
    {
        "id": an_id(Prefix.ATTEMPT),
        "number": whole(1, least=1),
        "trigger": choice(Attempt.Trigger.values),
        "is_counted": flag("Whether it used up one of the schedule's tries.", example=True),
        "reason": choice(Reason),
        "detail": text("", "For people."),
        "started_at": moment(),
        "request": record({"url": text(URL), "headers": HEADER_LIST, **BODY}),
        "response": or_null(
            record(
                {
                    "status": whole(200),
                    "headers": HEADER_LIST,
                    **BODY,
                    "is_body_truncated": flag(),
                    "body_error": or_null(text("connection_reset"), is_null=True),
                }
            )
        ),
        "phases_ms": ref("Milliseconds"),
        "peer": text("93.184.215.14:443", "Whom we spoke to; empty where it is none of the merchant's business."),
    },
    description="One try: what was sent and what came back. A request's `body` is null where it is the payload.",
)
DETAIL = record(
    {
        "id": EVENT_ID,
        "event_type": TYPE_NAME | {"examples": ["invoice.paid"]},
        "merchant": an_id(Prefix.MERCHANT),
        "account": or_null(text("acc-1001")),
        "is_test": flag(),
        "mode": choice(Merchant.Mode.values),
        "occurred_at": moment(),
        "created_at": moment(),
        "payload": anything(PAYLOAD, PAYLOAD_WORDS),
        "expunged_at": EXPUNGED_AT,
        "deliveries": list_of(
            record(
                {
                    **DELIVERY,
                    "last_attempt_at": or_null(moment()),
                    "finished_at": or_null(moment()),
                    "created_at": moment(),
                    "attempts": list_of(ref("Attempt")),
                }
            )
        ),
    }
)
TRIAL = record(
    {
        "event_id": EVENT_ID,
        "delivery_id": an_id(Prefix.DELIVERY),
        "event_type": TYPE_NAME | {"examples": ["invoice.paid"]},
        "delivery_status": choice(Delivery.Status.values),
        **ATTEMPT["properties"],
    }
)
CONNECTIVITY = record(
    {
        "reachable": flag("Whether anybody answered, whatever the status.", example=True),
        "reason": or_null(choice(Reason), is_null=True),
        "detail": or_null(text("The host does not exist."), is_null=True),
        "status": or_null(whole(405)),
        "phases_ms": ref("Milliseconds"),
        "peer": text("93.184.215.14:443"),
    }
)
RESEND: Schema = {
    "type": "object",
    "properties": {"endpoint": {"anyOf": [ENDPOINT.schema, NULL], "description": "By default every one it went to."}},
    "required": [],
    "additionalProperties": False,
}
TRIAL_BODY = request(
    trial_views.SHAPE,
    say={
        "event_type": "One that the endpoint may want. By default the first of those.",
        "payload": "Sent exactly so. By default the type's sample.",
    },
)
BASE = "/api/v2/webhooks/events"

AREA = Area(
    name="Deliveries",
    description="What was sent where, and what came back; sending again; and trying an endpoint out.",
    schemas={
        "LogRow": LOG_ROW,
        "Milliseconds": MILLISECONDS,
        "Attempt": ATTEMPT,
        "EventDetail": DETAIL,
        "Trial": TRIAL,
        "Connectivity": CONNECTIVITY,
        "Resent": record({"deliveries": list_of(an_id(Prefix.DELIVERY))}),
    },
    operations={
        f"GET {BASE}": Operation(
            id="listDeliveries",
            summary="Deliveries, newest first, as a bare array",
            query=(
                LIMIT,
                Parameter(
                    name="offset",
                    schema={"type": "integer", "minimum": 0, "maximum": OFFSET_MAX, "default": 0},
                    description="Rows to skip. To read far, follow `Link` instead.",
                ),
                CURSOR,
                Parameter(name="status", schema={"type": "string", "enum": list(Delivery.Status.values)}),
                EVENT_TYPE,
                ENDPOINT,
                ACCOUNT,
                SINCE,
                UNTIL,
            ),
            answers={
                200: Answer(
                    description="A page.",
                    schema=list_of(ref("LogRow")),
                    headers=("Link",),
                )
            },
            refusals={404: ()},
        ),
        f"GET {BASE}/{{event}}": Operation(
            id="getEvent",
            summary="One event with its deliveries and all their attempts",
            answers={200: Answer(description="It.", schema=ref("EventDetail"))},
        ),
        f"POST {BASE}/{{event}}/resend": Operation(
            id="resendEvent",
            summary="Send an event again, now and with a fresh schedule",
            body=Body(
                schema=RESEND,
                examples={"everywhere": {}, "one endpoint": {"endpoint": ENDPOINT_EXAMPLE}},
                is_optional=True,
            ),
            is_idempotent=True,
            answers={202: Answer(description="It is under way.", schema=ref("Resent"))},
            refusals={409: ("endpoint_closed", "expunged")},
        ),
        f"POST {ONE}/test": Operation(
            id="testEndpoint",
            summary="Send a signed test event now",
            description="Answered with the attempt, also when the receiver failed. The endpoint may be disabled.",
            body=Body(
                schema=TRIAL_BODY,
                examples={"sample": {}, "own": {"payload": PAYLOAD}},
                is_optional=True,
            ),
            is_idempotent=True,
            answers={
                200: Answer(
                    description="What was sent and what came back.",
                    schema=ref("Trial"),
                    gives={"event": "$response.body#/event_id"},
                )
            },
            refusals={409: ("unverified",)},
        ),
        f"POST {ONE}/connectivity": Operation(
            id="checkConnectivity",
            summary="Knock at the URL with a HEAD request, without event, signature or credentials",
            body=Body(schema=request({}), examples={"nothing": {}}, is_optional=True),
            answers={200: Answer(description="What came of it.", schema=ref("Connectivity"))},
            refusals={409: ("not_a_webhook",), 429: ("too_many_requests",)},
        ),
    },
)
