"""The fields of endpoints, wherever they are given: their rules, and words about them; and what pages of lists take."""

from collections.abc import Mapping

from config.api.openapi.operations import Parameter
from config.api.openapi.schemas import (
    NO_NUL,
    NULL,
    Schema,
    ref,
    told,
)
from dispatcher.ack import TEXT_LENGTH
from dispatcher.profiles.headers import NAME_LENGTH, VALUE_BYTES
from subscriptions.api.pagination import DEFAULT_LIMIT, MOST
from subscriptions.models import Endpoint
from subscriptions.models.catalogue import EVENT_TYPE_LENGTH, EVENT_TYPE_PATTERN
from subscriptions.models.endpoints import MAX_IN_FLIGHT, URL_LENGTH
from subscriptions.models.formats import PROFILE_NAME_LENGTH, PROFILE_NAME_PATTERN
from subscriptions.models.merchants import REFERENCE_LENGTH
from subscriptions.services import endpoint_auth, shapes
from subscriptions.services.endpoint_headers import MOST_HEADERS
from subscriptions.services.endpoint_rules import MOST_ACCOUNTS, MOST_EVENT_TYPES

CURSOR_TEXT: Schema = {"type": "string", "pattern": "^[A-Za-z0-9_-]*$"}
LIMIT = Parameter(
    name="limit",
    schema={"type": "integer", "minimum": 1, "maximum": MOST, "default": DEFAULT_LIMIT, "examples": [DEFAULT_LIMIT]},
    description="Rows of one page.",
)
CURSOR = Parameter(
    name="cursor", schema=CURSOR_TEXT, description="The `next_cursor` of the page before; only of this list."
)
PAGING = (LIMIT, CURSOR)
URL = "https://merchant.example/webhooks"
HEADER_NAME = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"
HEADER_VALUE = r"^[\u0020-\u007e\u00a0-\u00ff]*$"
# A token, and ISO 8859-1 without control characters (RFC 9110, 5.1 and 5.5).
SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="  # noqa: S105 - an example of the form

WANTED_TYPES: Schema = {
    "anyOf": [
        {
            "type": "array",
            "items": {
                "type": "string",
                "maxLength": EVENT_TYPE_LENGTH + len(".*"),
                "pattern": EVENT_TYPE_PATTERN.removesuffix("$") + r"(\.\*)?$",
            },
            "minItems": 1,
            "maxItems": MOST_EVENT_TYPES,
        },
        NULL,
    ],
    "examples": [["invoice.paid", "invoice.*"]],
}
ACCOUNTS: Schema = {
    "type": "array",
    "items": shapes.schema_of(shapes.line(most=REFERENCE_LENGTH)),
    "maxItems": MOST_ACCOUNTS,
    "examples": [["acc-1001"]],
}


_NO_CONTROL = r"^[^\u0000-\u001f\u007f-\u009f]*$"
_CREDENTIALS: Mapping[str, Schema] = {
    "username": {"maxLength": endpoint_auth.NAME_LENGTH, "pattern": r"^[^:\u0000-\u001f\u007f-\u009f]*$"},
    "password": {"maxLength": endpoint_auth.PASSWORD_LENGTH, "pattern": _NO_CONTROL},
    "token": {"maxLength": VALUE_BYTES - len("Bearer "), "pattern": HEADER_VALUE},
    "name": {"maxLength": NAME_LENGTH, "pattern": HEADER_NAME},
    "value": {"maxLength": VALUE_BYTES, "pattern": HEADER_VALUE},
}


def _auth(*, is_new: bool) -> Schema:
    """A password, token or value may be left out only where one is stored already."""

    def of(kind: str) -> Schema:
        named = [word[kind] for word in (endpoint_auth.NAME_OF, endpoint_auth.SECRET_OF) if kind in word]
        needed = named if is_new else [name for name in named if name == endpoint_auth.NAME_OF.get(kind)]
        texts = {name: {"type": "string", "minLength": 1, **_CREDENTIALS[name]} for name in named}
        return {
            "type": "object",
            "properties": {"type": {"const": kind}, **texts},
            "required": ["type", *needed],
            "additionalProperties": False,
        }

    words = "Credentials that deliveries show. A password, token or value is never told again"
    kept = "." if is_new else "; left out it stays as it is, as long as type, scheme, host and port do."
    return told({"oneOf": [*map(of, Endpoint.Auth.values), NULL]}, words + kept)


def _ack(kind: str, **members: Schema) -> Schema:
    return {
        "type": "object",
        "properties": {"type": {"const": kind}, **members},
        "required": ["type", *members],
        "additionalProperties": False,
    }


_ACK_TEXT: Schema = {"type": "string", "minLength": 1, "maxLength": TEXT_LENGTH, "pattern": NO_NUL}
ACK: Schema = {
    "oneOf": [
        _ack("2xx"),
        _ack(
            "status",
            value={
                "type": "array",
                "items": {"type": "integer", "minimum": 200, "maximum": 299},
                "minItems": 1,
                "maxItems": 100,
            },
        ),
        _ack("body_starts_with", value=_ACK_TEXT),
        _ack("body_contains", value=_ACK_TEXT),
        _ack(
            "json_pointer",
            pointer={"type": "string", "maxLength": TEXT_LENGTH, "pattern": r"^(/([^~/\u0000]|~[01])*)*$"},
            value={"type": ["string", "number", "boolean", "null"], "maxLength": TEXT_LENGTH, "pattern": NO_NUL},
        ),
    ],
    "description": "What the answer must be for a delivery to count as received; always at least a 2xx.",
    "examples": [{"type": "body_starts_with", "value": "OK"}],
}
RULES = {
    "url": {"type": "string", "minLength": 1, "maxLength": URL_LENGTH, "pattern": shapes.LINE, "examples": [URL]},
    "event_types": WANTED_TYPES,
    "profile": {
        "type": "string",
        "maxLength": PROFILE_NAME_LENGTH,
        "pattern": PROFILE_NAME_PATTERN,
        "examples": ["default"],
    },
    "accounts": ACCOUNTS,
    "auth": _auth(is_new=False),
    "headers": {
        "type": "object",
        "propertyNames": {"maxLength": NAME_LENGTH, "pattern": HEADER_NAME},
        "additionalProperties": {"type": "string", "maxLength": VALUE_BYTES, "pattern": HEADER_VALUE},
        "maxProperties": MOST_HEADERS,
        "examples": [{"X-Shop": "17"}],
    },
    "ack": {"anyOf": [ref("Ack"), NULL]},
}
WORDS = {
    "url": "Absolute and https, on a public host; for e-mail and SMS an address (`mailto:`) or number (`sms:`).",
    "event_types": "Names, or prefixes such as `invoice.*`. Null is all but the platform's own, `signet.*`.",
    "accounts": "Only events of these. Empty is all.",
    "channel": "By default what the URL's scheme says. For good.",
    "profile": "The wire format, one of `GET /profiles`.",
    "headers": "Sent with every delivery. Names that HTTP or a signature needs are refused.",
    "retry_schedule": "Seconds before each retry. Null is the platform's own; empty is none.",
    "rate_limit": "Deliveries a second. Null is no limit.",
    "max_in_flight": f"Deliveries under way at once, {MAX_IN_FLIGHT} by default.",
    "ordered": "One delivery after another, in the order of events.",
    "metadata": "Your own notes.",
}
SECRET_WORDS = {"secret": "Signs deliveries. Generated when absent and shown this once; null: they go unsigned."}
NEW_RULES = RULES | {"auth": _auth(is_new=True)}
