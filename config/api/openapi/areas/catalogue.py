"""What merchants can choose from: event types, wire formats; and the provider's public keys."""

from config.api.openapi.areas.endpoint_fields import PAGING
from config.api.openapi.operations import Answer, Area, Body, Operation
from config.api.openapi.schemas import (
    Schema,
    an_id,
    an_object,
    anything,
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
from subscriptions.api.key_views import PEM
from subscriptions.models import ProviderKey
from subscriptions.models.catalogue import EVENT_TYPE_LENGTH, EVENT_TYPE_PATTERN
from subscriptions.selectors.provider_keys import Status
from subscriptions.selectors.samples import Source
from subscriptions.services import event_types

SCHEMA = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}
PAYLOAD = {"id": "inv_1001", "amount": "12.40", "currency": "EUR"}
NAME: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": EVENT_TYPE_LENGTH,
    "pattern": EVENT_TYPE_PATTERN,
    "examples": ["invoice.paid"],
}
RULES = {"schema": {"type": ["object", "boolean", "null"]}}
WORDS = {
    "schema": "JSON Schema of the payload. Nothing that it refers to is ever fetched.",
    "example": "A payload to show, and to try endpoints with.",
    "strict": "Whether a payload that does not fit the schema is refused when it is published.",
    "archived": "Whether it can no longer be published or newly subscribed to.",
}
SHOWN = record(
    {
        "name": NAME,
        "group": text("Invoices"),
        "description": text("An invoice was paid in full."),
        "schema": or_null(anything(SCHEMA)),
        "strict": flag(),
        "example": anything(PAYLOAD),
        "archived": flag(),
        "created_at": moment(),
        "updated_at": moment(),
    }
)
WITH_SAMPLE = record(
    {**SHOWN["properties"], "sample": anything(PAYLOAD), "sample_source": choice(Source)},
    description="The type with a payload to look at or try with, and where that is from.",
)
PROFILE = record(
    {
        "name": text("default"),
        "description": text("Standard Webhooks 1.0, specification"),
        "is_built_in": flag(example=True),
        "signed_by": or_null(choice(("secret", "provider"))),
        "secret_form": or_null(text("whsec")),
        "headers": list_of(text("X-Webhook-Event"), "Those it sets beside the content type, signatures last."),
        "ack": ref("Ack"),
        "retry_schedule": or_null(list_of(whole(60)), is_null=True),
    }
)
KEY_PEM = "-----BEGIN PUBLIC KEY-----\n…\n-----END PUBLIC KEY-----\n"
KEY = record(
    {
        "id": an_id(Prefix.PROVIDER_KEY),
        "algorithm": choice(ProviderKey.Family.values),
        "status": choice([Status.CURRENT, Status.NEXT, Status.PREVIOUS]),
        "signs_from": moment(),
        "signs_until": or_null(moment(), is_null=True),
        "public_key_pem": text(KEY_PEM),
        "certificate_pem": text(KEY_PEM.replace("PUBLIC KEY", "CERTIFICATE")),
        "jwk": an_object({"kid": "pk_01kfxwm9jceesrtq0733vx0g8y", "kty": "OKP", "crv": "Ed25519"}, "RFC 7517."),
    }
)
KEYS = record(
    {
        "data": list_of(ref("PublicKey")),
        "next_cursor": {"type": "null", "examples": [None]},
        "keys": list_of(an_object({"kid": "pk_01kfxwm9jceesrtq0733vx0g8y", "kty": "OKP"}), "All `jwk` (a JWK Set)."),
    }
)
MERCHANT, PROVIDER = "/api/v2/webhooks", "/api/v2/event-types"
CACHED = ("ETag",)
UNCHANGED = Answer(description="`If-None-Match` names what is still current.", headers=CACHED)

AREA = Area(
    name="Catalogue",
    description="What can happen, in which formats it can be delivered, and the keys that the provider signs with.",
    schemas={
        "NewEventType": request(
            event_types.NEW, required=("name",), instead={**RULES, "name": NAME}, say=WORDS | {"name": "For good."}
        ),
        "EventTypeChanges": request(event_types.CHANGES, instead=RULES, say=WORDS),
        "EventType": SHOWN,
        "EventTypePage": page_of(ref("EventType")),
        "EventTypeWithSample": WITH_SAMPLE,
        "Profile": PROFILE,
        "ProfilePage": page_of(ref("Profile")),
        "PublicKey": KEY,
        "PublicKeys": KEYS,
    },
    operations={
        f"GET {MERCHANT}/event-types": Operation(
            id="listOfferedEventTypes",
            summary="Event types that can be subscribed to, by name",
            query=PAGING,
            answers={
                200: Answer(
                    description="A page.",
                    schema=ref("EventTypePage"),
                )
            },
        ),
        f"GET {MERCHANT}/event-types/{{name}}": Operation(
            id="getOfferedEventType",
            summary="One event type, with a payload to try it with",
            answers={200: Answer(description="It.", schema=ref("EventTypeWithSample"))},
        ),
        f"GET {MERCHANT}/profiles": Operation(
            id="listProfiles",
            summary="Wire formats: built-in ones, then the provider's own by name",
            query=PAGING,
            answers={200: Answer(description="A page.", schema=ref("ProfilePage"))},
        ),
        f"GET {MERCHANT}/keys": Operation(
            id="listKeys",
            summary="The provider's public keys",
            answers={200: Answer(description="All there are.", schema=ref("PublicKeys"))},
        ),
        "GET /.well-known/webhook-keys": Operation(
            id="getPublishedKeys",
            summary="The provider's public keys, for every receiver",
            answers={
                200: Answer(description="All there are; also a JWK Set.", schema=ref("PublicKeys"), headers=CACHED),
                304: UNCHANGED,
            },
        ),
        "GET /.well-known/webhook-keys/{name}.{part}": Operation(
            id="getPublishedKey",
            summary="One public key (`pem`) or its certificate (`crt`)",
            description="By its id, or by the name of its family: then that of the current key.",
            answers={
                200: Answer(
                    description="The file.",
                    schema={"type": "string", "pattern": "^-----BEGIN "},
                    headers=CACHED,
                    content_type=PEM,
                    example=KEY_PEM,
                ),
                304: UNCHANGED,
            },
        ),
        f"GET {PROVIDER}": Operation(
            id="listEventTypes",
            summary="The whole catalogue by name, archived types included",
            query=PAGING,
            answers={200: Answer(description="A page.", schema=ref("EventTypePage"))},
        ),
        f"POST {PROVIDER}": Operation(
            id="createEventType",
            summary="A new event type",
            body=Body(
                schema=ref("NewEventType"),
                examples={
                    "name only": {"name": "order.shipped"},
                    "in full": {
                        "name": "order.returned",
                        "group": "Orders",
                        "description": "The goods came back.",
                        "schema": SCHEMA,
                        "strict": True,
                        "example": PAYLOAD,
                    },
                },
            ),
            is_idempotent=True,
            answers={
                201: Answer(
                    description="Made.",
                    schema=ref("EventType"),
                    headers=("Location",),
                    gives={"name": "$response.body#/name"},
                )
            },
            refusals={409: ("name_taken",)},
        ),
        f"GET {PROVIDER}/{{name}}": Operation(
            id="getEventType",
            summary="One event type",
            answers={200: Answer(description="It.", schema=ref("EventType"))},
        ),
        f"PATCH {PROVIDER}/{{name}}": Operation(
            id="updateEventType",
            summary="Change what is named",
            body=Body(schema=ref("EventTypeChanges"), examples={"archive": {"archived": True}}),
            answers={200: Answer(description="As it is now.", schema=ref("EventType"))},
        ),
        f"DELETE {PROVIDER}/{{name}}": Operation(
            id="deleteEventType",
            summary="Take a type that nobody names out of the catalogue",
            answers={204: Answer(description="It is gone; its events stay.")},
            refusals={409: ("in_use",)},
        ),
    },
)
