"""The refusals of the API as the document shows them: one schema, and every code with an example."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from config.api.openapi.operations import HEADERS
from config.api.openapi.schemas import Schema, choice, list_of, record, ref, text, whole
from config.api.problems import CONTENT_TYPE

INSTANCE = "/api/v2/webhooks/endpoints"
REQUEST_ID = "019c13ce2b8d7e6fa1d5e0c1b2a39485"

FAULT = record(
    {
        "pointer": text("/url", "A JSON pointer into the request; a parameter or header by its name."),
        "code": text("required"),
        "message": text("This field is required."),
    }
)
PROBLEM = record(
    {
        "type": text("about:blank"),
        "title": text("Unprocessable Entity"),
        "status": whole(422, least=400, most=599),
        "detail": text("This field is required.", "For people."),
        "instance": text(INSTANCE, "The path that was asked for."),
        "code": text("invalid", "For programs; codes are never renamed."),
        "request_id": text(REQUEST_ID, "As in the header X-Request-Id."),
        "errors": list_of(ref("Fault"), "Every wrong field."),
    },
    optional=("errors",),
    description="Why a request was refused (RFC 9457).",
)
SCHEMAS: Mapping[str, Schema] = {"Fault": FAULT, "Problem": PROBLEM}

BODY_CODES = (
    *("empty_body", "incomplete_body", "invalid_json", "invalid_utf8", "byte_order_mark", "nul_character"),
    *("lone_surrogate", "too_deep", "duplicate_key", "number_out_of_range"),
)
DETAILS: Mapping[str, str] = {
    "bad_request": "The request could not be read.",
    "nul_character": "The query holds the character U+0000.",
    "empty_body": "The body is empty; a JSON object is needed.",
    "incomplete_body": "The body ended before its Content-Length.",
    "invalid_json": "The body is not JSON.",
    "invalid_utf8": "The body is not UTF-8.",
    "byte_order_mark": "The body starts with a byte order mark.",
    "lone_surrogate": "The body holds half of a surrogate pair.",
    "too_deep": "The body nests objects and arrays too deep.",
    "duplicate_key": "An object in the body has the same key twice.",
    "number_out_of_range": "A number in the body is too large or too long.",
    "unauthenticated": "The API key is unknown, expired or revoked.",
    "provider_key_needed": "This route needs a provider key.",
    "not_found": "There is nothing here.",
    "no_secret": "This endpoint has no secret: its deliveries are not signed.",
    "not_for_channel": "A webhook needs no verification.",
    "request_timeout": "The body did not arrive within 30 seconds.",
    "conflict": "The present state does not allow it.",
    "idempotency_key_reused": "This Idempotency-Key was used for another request.",
    "in_progress": "The first request with this Idempotency-Key is still under way.",
    "answer_unreadable": "This was done; the first answer cannot be read any more.",
    "too_many_endpoints": "A merchant has at most 20 endpoints.",
    "too_many_rules": "A merchant has at most 50 rules.",
    "too_many_secrets": "At most 10 secrets may be live; wait until one has expired.",
    "secret_unreadable": "A stored secret of this endpoint cannot be decrypted. Rotate it, or set a new one.",
    "belongs_to_rule": "This endpoint is a recipient of a rule, which says what it gets: change the rule.",
    "unknown_profile": "There is no profile of this name any more.",
    "unverified": "The owner of this address has not confirmed it yet: ask for a new code first.",
    "already_verified": "The owner of this address has confirmed it already.",
    "channel_unavailable": "E-mail is not set up on this installation.",
    "code_expired": "There is no open question to this address: ask for a new code.",
    "no_tries_left": "This code was tried too often: ask for a new one.",
    "endpoint_closed": "The endpoint is disabled or deleted: nothing can be sent there.",
    "not_a_webhook": "Only a webhook has a URL that can be connected to.",
    "expunged": "The contents of this event were taken away: there is nothing to send.",
    "too_many_exports": "A merchant has at most 3 exports at a time. Delete one, or wait until it has expired.",
    "export_running": "The file is still being written.",
    "export_gone": "The file is there no more. Begin another export.",
    "range_not_satisfiable": "The file has no such bytes.",
    "replay_running": "A replay of this kind is running for this endpoint already.",
    "has_children": "Merchants stand below this one. Move or delete them first.",
    "reference_taken": "Another merchant has this reference.",
    "account_of_another_merchant": "This account belongs to another merchant.",
    "is_member": "This user is a member already.",
    "too_many_members": "A merchant has at most 200 members.",
    "last_owner": "This is the last owner. Make somebody else an owner first.",
    "name_taken": "There is a type of this name.",
    "in_use": 'Endpoints still name this type. Archive it instead: {"archived": true}.',
    "template_exists": "There is a template for this channel and event type.",
    "try_again": "The schemas of these types keep changing. Try again.",
    "version_mismatch": "The object has another version by now.",
    "payload_too_large": "The body is larger than 262144 bytes.",
    "body_too_large": "A body has at most 8454144 bytes.",
    "unsupported_media_type": "Send the body as `Content-Type: application/json`, in UTF-8, unencoded.",
    "invalid": "This field is required.",
    "too_many_requests": "At most 10 connectivity tests are made in 60 seconds.",
    "too_many_codes": "Too many codes were sent to this address within a day.",
    "overloaded": "More requests than can be worked on. Try again shortly.",
    "unavailable": "The database does not answer. Try again shortly.",
}
HEADERS_OF: Mapping[int, Sequence[str]] = {401: ["WWW-Authenticate"], 429: ["Retry-After"], 503: ["Retry-After"]}


def response_name(status: int, codes: Sequence[str]) -> str:
    return f"Refused_{status}." + ".".join(codes)


def response(status: int, codes: Sequence[str]) -> Schema:
    """The response object of a status with all codes that it may carry."""
    narrowed = {"status": {"const": status}, "code": choice(codes)}
    return {
        "description": HTTPStatus(status).phrase,
        "headers": {name: HEADERS[name] for name in ("X-Request-Id", *HEADERS_OF.get(status, ()))},
        "content": {
            CONTENT_TYPE: {
                "schema": {"allOf": [ref("Problem"), {"type": "object", "properties": narrowed}]},
                "examples": {code: {"value": _example(status, code)} for code in codes},
            }
        },
    }


def _example(status: int, code: str) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": DETAILS[code],
        "instance": INSTANCE,
        "code": code,
        "request_id": REQUEST_ID,
    }
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        shown["errors"] = [{"pointer": "/url", "code": "required", "message": DETAILS[code]}]
    return shown
