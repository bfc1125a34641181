"""Puts the document together: what the areas say of their operations, and what follows from the routes themselves."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from config.api.openapi import outgoing, problems
from config.api.openapi.areas import (
    catalogue,
    endpoints,
    log,
    merchants,
    meta,
    paisr,
    portal,
    privacy,
    publishing,
    replays,
    rules,
    statistics,
)
from config.api.openapi.operations import HEADERS, JSON, Answer, Area, Body, Operation
from config.api.openapi.routes import Route, routes
from config.api.openapi.schemas import ID_TAIL, NO_NUL, Schema, an_id, example_of, told
from dispatcher.ids import Prefix
from dispatcher.profiles.engine import USER_AGENT
from subscriptions.models.catalogue import EVENT_TYPE_LENGTH, EVENT_TYPE_PATTERN
from subscriptions.models.merchants import REFERENCE_LENGTH

AREAS: Sequence[Area] = (
    *(endpoints.AREA, rules.AREA, log.AREA, replays.AREA, statistics.AREA, privacy.AREA, catalogue.AREA),
    *(publishing.AREA, merchants.AREA, portal.AREA, paisr.AREA, meta.AREA),
)
OPENAPI = "3.1.1"
SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"token": []}]
DESCRIPTION = """\
Webhooks as a provider offers them to its merchants.

A **merchant key** reaches that merchant's objects; a **provider key** reaches the provider's routes, and the merchants'
with `?merchant=<id or reference>`. Times are RFC 3339 in UTC, ids are opaque. Unknown fields are refused. Every refusal
is a problem document (RFC 9457); every answer carries `X-Request-Id`. Lists are read on by `cursor`. Objects with a
version answer an `ETag`, which changes and deletions take as `If-Match`. What creates something takes an
`Idempotency-Key`: for 24 hours the same request is answered with the first answer again.

What receivers get stands under **Webhooks**, by the endpoint's profile.
"""
_NAME: Schema = {"type": "string", "minLength": 1, "maxLength": EVENT_TYPE_LENGTH, "pattern": EVENT_TYPE_PATTERN}
_TEXT: Schema = {"type": "string", "minLength": 1, "maxLength": REFERENCE_LENGTH, "pattern": NO_NUL}
PATH_PARAMETERS: Mapping[str, Schema] = {
    "endpoint": an_id(Prefix.ENDPOINT),
    "webhook": an_id(Prefix.ENDPOINT),
    "rule": an_id(Prefix.RULE),
    "replay": an_id(Prefix.REPLAY),
    "export": an_id(Prefix.EXPORT),
    "expunge": an_id(Prefix.EXPUNGE),
    "template": an_id(Prefix.MESSAGE_TEMPLATE),
    "key": an_id(Prefix.API_KEY),
    "member": an_id(Prefix.MEMBERSHIP),
    "event": {"type": "string", "minLength": 1, "pattern": "^[!-~]+$", "examples": [f"{Prefix.EVENT}_{ID_TAIL}"]},
    "merchant": _TEXT | {"examples": ["shop-17"]},
    "reference": _TEXT | {"examples": ["acc-1001"]},
    "name": _NAME | {"examples": ["invoice.paid"]},
    "part": {"type": "string", "enum": ["pem", "crt"], "examples": ["pem"]},
}
PARAMETERS: Mapping[str, Schema] = {
    "Merchant": {
        "name": "merchant",
        "in": "query",
        "required": False,
        "description": "The id or reference of the merchant that is meant: required with a provider key.",
        "schema": {"type": "string", "maxLength": REFERENCE_LENGTH, "pattern": NO_NUL},
    },
    "IfMatch": {
        "name": "If-Match",
        "in": "header",
        "required": False,
        "description": "Only if the object still has this version: the `ETag` of an earlier answer.",
        "schema": {"type": "string", "examples": ['"3"']},
    },
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "The same key and request are answered with the first answer again.",
        "schema": {
            "type": "string",
            "minLength": 1,
            "maxLength": 128,
            "pattern": "^[!-~]([ -~]*[!-~])?$",
            "examples": ["order-1001"],
        },
    },
}
SECURITY_SCHEMES: Mapping[str, Schema] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A merchant's or the provider's API key."},
    "token": {"type": "apiKey", "in": "header", "name": "X-API-Token", "description": "The same key."},
}
_PARAMETER = re.compile(r"{([^}]+)}")


class Undocumented(LookupError):
    """Routes without a word in the document, or words about routes that are not there."""


@lru_cache(maxsize=1)
def document() -> Schema:
    """The whole. The routes do not change while a process lives. Raises Undocumented."""
    found = routes()
    written = {key: (area, operation) for area in AREAS for key, operation in area.operations.items()}
    if different := found.keys() ^ written.keys():
        raise Undocumented(", ".join(sorted(different)))
    writer = _Writer({**problems.SCHEMAS, **{name: one for area in AREAS for name, one in area.schemas.items()}})
    paths: dict[str, Schema] = {}
    for key, (area, operation) in written.items():
        route = found[key]
        paths.setdefault(route.path, {})[route.method.lower()] = writer.operation(area, operation, route)
    return {
        "openapi": OPENAPI,
        "info": {"title": "Signet", "version": USER_AGENT.partition("/")[2], "description": DESCRIPTION},
        "servers": [{"url": "/"}],
        "tags": [{"name": area.name, "description": area.description} for area in AREAS],
        "paths": dict(sorted(paths.items())),
        "webhooks": outgoing.webhooks(),
        "components": {
            "securitySchemes": dict(SECURITY_SCHEMES),
            "parameters": dict(PARAMETERS),
            "schemas": writer.schemas,
            "responses": dict(sorted(writer.responses.items())),
        },
    }


class _Writer:
    """Writes operations; collects the refusals that they share."""

    def __init__(self, schemas: dict[str, Schema]) -> None:
        self.schemas = schemas
        self.responses: dict[str, Schema] = {}

    def operation(self, area: Area, operation: Operation, route: Route) -> Schema:
        written: Schema = {
            "operationId": operation.id,
            "tags": [area.name],
            "summary": operation.summary,
            "parameters": list(_parameters(operation, route)),
            "responses": self._answers(operation, route),
            "security": [] if route.audience == "public" else SECURITY,
        }
        if operation.body is not None:
            written["requestBody"] = _request_body(operation.body)
        return told(written, operation.description)

    def _answers(self, operation: Operation, route: Route) -> Schema:
        answers = {str(status): self._answer(answer, operation) for status, answer in operation.answers.items()}
        for status, codes in sorted(_refusals(operation, route).items()):
            name = problems.response_name(status, codes)
            self.responses.setdefault(name, problems.response(status, codes))
            answers[str(status)] = {"$ref": f"#/components/responses/{name}"}
        return answers

    def _answer(self, answer: Answer, operation: Operation) -> Schema:
        names = ["X-Request-Id", *answer.headers, *(["Idempotent-Replayed"] if operation.is_idempotent else [])]
        written: Schema = {
            "description": answer.description,
            "headers": {name: HEADERS[name] for name in names},
        }
        if answer.schema is not None:
            example = answer.example or example_of(answer.schema, self.schemas)
            shown = {"schema": answer.schema, "example": example}
            written["content"] = dict.fromkeys((answer.content_type, *answer.or_as), shown)
        if links := dict(_links(answer, operation)):
            written["links"] = links
        return written


def _parameters(operation: Operation, route: Route) -> Iterator[Schema]:
    for name in _PARAMETER.findall(route.path):
        yield {"name": name, "in": "path", "required": True, "schema": PATH_PARAMETERS[name]}
    for query in operation.query:
        yield query.shown()
    if route.audience == "merchant":
        yield {"$ref": "#/components/parameters/Merchant"}
    if operation.has_if_match:
        yield {"$ref": "#/components/parameters/IfMatch"}
    if operation.is_idempotent:
        yield {"$ref": "#/components/parameters/IdempotencyKey"}


def _request_body(body: Body) -> Schema:
    examples = {name: {"value": value} for name, value in body.examples.items()}
    return {"required": not body.is_optional, "content": {JSON: {"schema": body.schema, "examples": examples}}}


def _refusals(operation: Operation, route: Route) -> dict[int, tuple[str, ...]]:
    """By status the codes: those that every operation of such a route has, and its own."""
    codes: dict[int, list[str]] = {400: ["bad_request"], 503: ["overloaded", "unavailable"]}
    if route.audience != "public":
        codes |= {400: ["bad_request", "nul_character"], 401: ["unauthenticated"]}
    if route.audience == "provider":
        codes[403] = ["provider_key_needed"]
    if route.audience == "merchant" or "{" in route.path:
        codes[404] = ["not_found"]
    if route.audience == "merchant" or operation.query or operation.is_idempotent:
        codes[422] = ["invalid"]
    if operation.body is not None:
        codes |= {408: ["request_timeout"], 413: ["payload_too_large", "body_too_large"], 422: ["invalid"]}
        codes |= {400: ["bad_request", *problems.BODY_CODES], 415: ["unsupported_media_type"]}
        if operation.body.is_optional:
            codes[400].remove("empty_body")
    if operation.has_if_match:
        codes[412] = ["version_mismatch"]
    if operation.is_idempotent:
        codes[409] = ["idempotency_key_reused", "in_progress", "answer_unreadable"]
    for status, own in operation.refusals.items():
        known = codes.setdefault(status, ["not_found"] if status == 404 else [])
        known += [code for code in own if code not in known]
    return {status: tuple(found) for status, found in codes.items()}


def _links(answer: Answer, operation: Operation) -> Iterator[tuple[str, Schema]]:
    """To every operation whose path parameters this answer gives."""
    for area in AREAS:
        for key, other in area.operations.items():
            needed = _PARAMETER.findall(key)
            if needed and other.id != operation.id and set(needed) <= set(answer.gives):
                yield other.id, {"operationId": other.id, "parameters": {name: answer.gives[name] for name in needed}}


def examples() -> Iterator[tuple[str, Schema, Any]]:
    """Every example of the document with the schema it stands beside, and where that is."""
    yield from _examples(document(), "")


def _examples(part: Any, at: str) -> Iterator[tuple[str, Schema, Any]]:
    if isinstance(part, list):
        for position, item in enumerate(part):
            yield from _examples(item, f"{at}/{position}")
    if not isinstance(part, dict):
        return
    if isinstance(part.get("schema"), dict):
        if "example" in part:
            yield at, part["schema"], part["example"]
        for name, example in part.get("examples", {}).items():
            yield f"{at}/{name}", part["schema"], example["value"]
    for name, member in part.items():
        yield from _examples(member, f"{at}/{name}")
