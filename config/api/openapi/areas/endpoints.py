"""The merchant's configuration, endpoints, their secrets and the confirmation of addresses."""

from config.api.openapi.areas.endpoint_fields import (
    ACCOUNTS,
    ACK,
    NEW_RULES,
    PAGING,
    RULES,
    SECRET,
    SECRET_WORDS,
    URL,
    WANTED_TYPES,
    WORDS,
)
from config.api.openapi.operations import Answer, Area, Body, Operation
from config.api.openapi.schemas import (
    an_id,
    choice,
    flag,
    list_of,
    moment,
    or_null,
    page_of,
    record,
    ref,
    request,
    text,
    whole,
)
from dispatcher.ids import Prefix
from subscriptions.api.merchant_views import DEFAULT_OVERLAP_S, ROTATION
from subscriptions.api.verification_views import CONFIRMATION
from subscriptions.models import Endpoint
from subscriptions.models.endpoints import MAX_IN_FLIGHT
from subscriptions.services import endpoint_rules

CHANGES = request(endpoint_rules.CHANGES, instead=RULES, say=WORDS)
NEW = request(endpoint_rules.NEW, required=("url",), instead=NEW_RULES, say=WORDS | SECRET_WORDS)
CONFIG = request(
    endpoint_rules.CONFIG,
    required=("url",),
    instead={name: RULES[name] for name in ("url", "event_types")},
    say={
        "url": "Absolute and https, on a public host.",
        "event_types": WORDS["event_types"],
        "secret": "Signs deliveries. Absent: the stored one stays; null: it is removed, and they go unsigned.",
    },
)

SHOWN_AUTH = record(
    {
        "type": choice(Endpoint.Auth.values),
        "username": text("shop"),
        "password_set": flag(),
        "token_set": flag(),
        "name": text("X-Key"),
        "value_set": flag(),
    },
    optional=("username", "password_set", "token_set", "name", "value_set"),
    description="The kind of credentials; the secret part is never shown.",
)
ENDPOINT = record(
    {
        "id": an_id(Prefix.ENDPOINT),
        "url": text(URL),
        "description": text("Shop"),
        "channel": choice(Endpoint.Channel.values),
        "profile": text("default"),
        "primary": flag("Whether it is the one behind `/config`."),
        "rule": or_null(an_id(Prefix.RULE), is_null=True),
        "event_types": WANTED_TYPES,
        "accounts": ACCOUNTS,
        "is_active": flag(example=True),
        "disabled_reason": or_null(text("http_gone"), is_null=True),
        "disabled_at": or_null(moment(), is_null=True),
        "unreadable_since": or_null(moment("Since then no key opens a secret of it: rotate it."), is_null=True),
        "verified_at": or_null(moment("When the owner of an address said yes."), is_null=True),
        "secret_set": flag(example=True),
        "auth": ref("ShownAuth"),
        "headers": {"type": "object", "additionalProperties": {"type": "string"}, "examples": [{}]},
        "ack": or_null(ref("Ack"), is_null=True),
        "retry_schedule": or_null(list_of(whole(60)), is_null=True),
        "rate_limit": or_null(whole(100), is_null=True),
        "max_in_flight": whole(MAX_IN_FLIGHT, least=1),
        "ordered": flag(),
        "metadata": {"type": "object", "additionalProperties": {"type": "string"}, "examples": [{}]},
        "version": whole(1, least=1),
        "created_at": moment(),
        "updated_at": moment(),
        "secret": text(SECRET, "The generated secret; only in the answer that made it."),
        "auth_reset": flag("Credentials were dropped because the URL moved to another host.", example=True),
    },
    optional=("secret", "auth_reset"),
)
SHOWN_CONFIG = record(
    {
        "url": text(URL),
        "secret_set": flag(example=True),
        "event_types": WANTED_TYPES,
        "is_active": flag(example=True),
        "disabled_reason": or_null(text("http_gone"), is_null=True),
        "version": whole(1, least=1),
        "created_at": moment(),
        "updated_at": moment(),
        "endpoint_id": an_id(Prefix.ENDPOINT, "The same as one of `GET /endpoints`."),
        "auth_reset": flag("Credentials were dropped because the URL moved to another host.", example=True),
    },
    optional=("auth_reset",),
)
SHOWN_SECRET = record({"id": an_id(Prefix.SECRET), "secret": text(SECRET), "created_at": moment()})
ROTATED = record(
    {
        **SHOWN_SECRET["properties"],
        "previous_expires_at": or_null(moment("Until then the one before signs beside it.")),
    }
)
VERIFICATION = record(
    {
        "status": choice(("verified", "unverified", "unsubscribed"), example="unverified"),
        "verified_at": or_null(moment(), is_null=True),
        "sent_at": or_null(moment()),
        "expires_at": or_null(moment()),
        "tries_left": or_null(whole(5)),
    }
)
ROTATION_BODY = request(
    ROTATION,
    say={"secret": "Generated when absent.", "overlap_seconds": f"By default {DEFAULT_OVERLAP_S}."},
)

BASE = "/api/v2/webhooks"
ONE = f"{BASE}/endpoints/{{endpoint}}"
OF_NEW = {"endpoint": "$response.body#/id"}

AREA = Area(
    name="Endpoints",
    description="Where a merchant wants which events: one configuration, or up to twenty endpoints.",
    schemas={
        "Ack": ACK,
        "NewEndpoint": NEW,
        "EndpointChanges": CHANGES,
        "ConfigBody": CONFIG,
        "Config": SHOWN_CONFIG,
        "ShownAuth": SHOWN_AUTH,
        "Endpoint": ENDPOINT,
        "EndpointPage": page_of(ref("Endpoint")),
        "Secret": SHOWN_SECRET,
        "RotatedSecret": ROTATED,
        "Verification": VERIFICATION,
    },
    operations={
        f"GET {BASE}/config": Operation(
            id="getConfig",
            summary="The merchant's configuration",
            answers={200: Answer(description="It is set.", schema=ref("Config"), headers=("ETag",))},
            refusals={404: ()},
        ),
        f"PUT {BASE}/config": Operation(
            id="putConfig",
            summary="Create or replace the configuration",
            description="What it does not name, such as headers of the endpoint behind it, stays as it is.",
            body=Body(
                schema=ref("ConfigBody"),
                examples={
                    "all events": {"url": URL, "secret": SECRET},
                    "some events": {"url": URL, "event_types": ["invoice.paid"], "is_active": True},
                },
            ),
            has_if_match=True,
            answers={
                200: Answer(
                    description="As it is now.",
                    schema=ref("Config"),
                    headers=("ETag",),
                    gives={"endpoint": "$response.body#/endpoint_id"},
                )
            },
            refusals={409: ("too_many_endpoints", "belongs_to_rule", "unknown_profile")},
        ),
        f"DELETE {BASE}/config": Operation(
            id="deleteConfig",
            summary="Remove the configuration: deliveries stop at once",
            has_if_match=True,
            answers={204: Answer(description="It is gone.")},
            refusals={404: ()},
        ),
        f"GET {BASE}/endpoints": Operation(
            id="listEndpoints",
            summary="All endpoints, newest first",
            query=PAGING,
            answers={
                200: Answer(
                    description="A page.",
                    schema=ref("EndpointPage"),
                )
            },
        ),
        f"POST {BASE}/endpoints": Operation(
            id="createEndpoint",
            summary="A new endpoint",
            body=Body(
                schema=ref("NewEndpoint"),
                examples={
                    "shortest": {"url": URL},
                    "in full": {
                        "url": URL,
                        "description": "Shop",
                        "event_types": ["invoice.*"],
                        "profile": "standard",
                        "auth": {"type": "basic", "username": "shop", "password": "s3cret"},
                        "headers": {"X-Shop": "17"},
                        "ack": {"type": "status", "value": [200, 202]},
                        "retry_schedule": [60, 600, 3600],
                        "rate_limit": 50,
                        "max_in_flight": 5,
                        "ordered": False,
                        "metadata": {"team": "payments"},
                    },
                },
            ),
            is_idempotent=True,
            answers={
                201: Answer(
                    description="Made. A generated `secret` is shown this once.",
                    schema=ref("Endpoint"),
                    headers=("ETag", "Location", "Cache-Control"),
                    gives=OF_NEW,
                )
            },
            refusals={409: ("too_many_endpoints", "unknown_profile"), 429: ("too_many_requests", "too_many_codes")},
        ),
        f"GET {ONE}": Operation(
            id="getEndpoint",
            summary="One endpoint",
            answers={200: Answer(description="It.", schema=ref("Endpoint"), headers=("ETag",))},
        ),
        f"PATCH {ONE}": Operation(
            id="updateEndpoint",
            summary="Change what is named",
            body=Body(
                schema=ref("EndpointChanges"),
                examples={"switch off": {"is_active": False}, "move": {"url": "https://merchant.example/other"}},
            ),
            has_if_match=True,
            answers={200: Answer(description="As it is now.", schema=ref("Endpoint"), headers=("ETag",))},
            refusals={
                409: ("belongs_to_rule", "unknown_profile", "unverified", "secret_unreadable"),
                429: ("too_many_requests", "too_many_codes"),
            },
        ),
        f"DELETE {ONE}": Operation(
            id="deleteEndpoint",
            summary="Delete it: deliveries stop at once, the log stays",
            has_if_match=True,
            answers={204: Answer(description="It is gone.")},
        ),
        f"GET {ONE}/secret": Operation(
            id="getSecret",
            summary="The current secret; audited",
            answers={200: Answer(description="It.", schema=ref("Secret"), headers=("Cache-Control",))},
            refusals={404: ("no_secret",), 409: ("secret_unreadable",)},
        ),
        f"POST {ONE}/secret/rotate": Operation(
            id="rotateSecret",
            summary="A new secret; the one before signs beside it for a while",
            body=Body(
                schema=ROTATION_BODY,
                examples={"generated": {}, "own": {"secret": SECRET, "overlap_seconds": 3600}},
                is_optional=True,
            ),
            has_if_match=True,
            is_idempotent=True,
            answers={200: Answer(description="It.", schema=ref("RotatedSecret"), headers=("Cache-Control",))},
            refusals={409: ("too_many_secrets", "not_for_channel", "no_secret", "unknown_profile")},
        ),
        f"GET {ONE}/verification": Operation(
            id="getVerification",
            summary="Whether the owner of an address has said yes",
            answers={200: Answer(description="How it stands.", schema=ref("Verification"))},
            refusals={404: ("not_for_channel",)},
        ),
        f"POST {ONE}/verification": Operation(
            id="sendVerification",
            summary="Send a new code to the address",
            body=Body(schema=request({}), examples={"nothing": {}}, is_optional=True),
            is_idempotent=True,
            answers={202: Answer(description="It is under way.", schema=ref("Verification"))},
            refusals={
                409: ("not_for_channel", "already_verified", "channel_unavailable"),
                429: ("too_many_requests", "too_many_codes"),
            },
        ),
        f"POST {ONE}/verification/confirm": Operation(
            id="confirmVerification",
            summary="Give back the code that the owner was sent",
            body=Body(schema=request(CONFIRMATION, required=("code",)), examples={"code": {"code": "123456"}}),
            answers={200: Answer(description="The address is confirmed.", schema=ref("Endpoint"), headers=("ETag",))},
            refusals={409: ("not_for_channel", "already_verified", "code_expired", "no_tries_left")},
        ),
    },
)
