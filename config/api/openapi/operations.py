"""What is said of one operation. What follows from its route, such as keys and common refusals, is not repeated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from config.api.openapi.schemas import Schema, text, told

JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A query parameter."""

    name: str
    schema: Schema
    description: str = ""

    def shown(self) -> Schema:
        return told({"name": self.name, "in": "query", "required": False, "schema": self.schema}, self.description)


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A request's JSON; `examples` by name, every one of them accepted by the API in the right circumstances."""

    schema: Schema
    examples: Mapping[str, Any]
    is_optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A success. `headers` are names in HEADERS; `gives` what later requests can use: path parameters, each with where
    in the answer it stands (a runtime expression of OpenAPI). `or_as` are other content types that it may have."""

    description: str
    schema: Schema | None = None
    headers: Sequence[str] = ()
    gives: Mapping[str, str] = field(default_factory=dict)
    content_type: str = JSON
    or_as: Sequence[str] = ()
    example: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """`refusals`: by status the codes that this operation has beside those of all its kind."""

    id: str
    summary: str
    answers: Mapping[int, Answer]
    description: str = ""
    query: Sequence[Parameter] = ()
    body: Body | None = None
    refusals: Mapping[int, Sequence[str]] = field(default_factory=dict)
    has_if_match: bool = False
    is_idempotent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """One tag of the document: its operations by method and path, and the schemas that they name."""

    name: str
    description: str
    operations: Mapping[str, Operation]
    schemas: Mapping[str, Schema] = field(default_factory=dict)


HEADERS: Mapping[str, Schema] = {
    "X-Request-Id": {
        "description": "Names this request in logs and problems; the caller's own where it sent a fitting one.",
        "required": True,
        "schema": text("019c13ce2b8d7e6fa1d5e0c1b2a39485", pattern="^[A-Za-z0-9_.-]{1,64}$"),
    },
    "ETag": {
        "description": 'The version of what is shown, for `If-Match`, e.g. `"3"`.',
        "required": True,
        "schema": text('"3"', pattern='^"[0-9a-f]+"$'),
    },
    "Location": {
        "description": "Where the new object is.",
        "required": True,
        "schema": text("/api/v2/…", pattern="^/"),
    },
    "Link": {
        "description": 'The next page, `<…>; rel="next"` (RFC 8288). Absent on the last one.',
        "schema": text('<https://…?cursor=…>; rel="next"'),
    },
    "Retry-After": {
        "description": "Seconds after which the same request is welcome.",
        "required": True,
        "schema": text("5", pattern="^[0-9]+$"),
    },
    "Idempotent-Replayed": {
        "description": "`true` when this is the first answer to the same Idempotency-Key again.",
        "schema": text("true", enum=["true"]),
    },
    "WWW-Authenticate": {
        "description": "How to authenticate.",
        "required": True,
        "schema": text('Bearer realm="api"'),
    },
    "Cache-Control": {
        "description": "`no-store`: this must not be kept.",
        "required": True,
        "schema": text("no-store"),
    },
}
