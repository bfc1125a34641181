"""Holds real answers against the document, strictly: what it does not know of a member, status or header is a fault."""

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import jsonschema_rs
from django.urls import Resolver404

from config.api.openapi.document import document
from config.api.openapi.routes import PREFIXES

TOLD_HEADERS = frozenset({"ETag", "Location", "Link", "Retry-After", "WWW-Authenticate", "Idempotent-Replayed"})
# Those that mean something to clients: none of them may come undocumented.
UNDOCUMENTED_STATUSES = frozenset({405, 500})
# Of methods that no operation has, and of tests that make something crash.
DATA = frozenset({"example", "examples", "const", "enum", "required"})
# Words of a schema whose values are no schemas.

_CONVERTER = re.compile(r"<(?:[^>:]+:)?([^>]+)>")


def faults(answer: Any) -> list[str]:
    """What is wrong with an answer of Django's test client; nothing for paths that are not the API's."""
    request = answer.request
    if not request["PATH_INFO"].startswith(PREFIXES) or answer.status_code in UNDOCUMENTED_STATUSES:
        return []
    try:
        path, method = _path(answer), request["REQUEST_METHOD"].lower()
    except Resolver404:
        return []
    item = document()["paths"].get(path)
    operation = item and item.get("get" if method == "head" else method)
    if not operation:
        return [f"{method} {path} is not documented"]
    return [f"{operation['operationId']} {answer.status_code}: {fault}" for fault in _faults(operation, answer, method)]


def operation_of(answer: Any) -> str:
    return str(document()["paths"][_path(answer)][answer.request["REQUEST_METHOD"].lower()]["operationId"])


def _path(answer: Any) -> str:
    return "/" + _CONVERTER.sub(r"{\1}", answer.resolver_match.route)


def _faults(operation: Any, answer: Any, method: str) -> list[str]:
    described = operation["responses"].get(str(answer.status_code))
    if described is None:
        return [f"undocumented status; {answer.content[:300]!r}"]
    if "$ref" in described:
        described = document()["components"]["responses"][described["$ref"].rpartition("/")[2]]
    return [*_header_faults(described["headers"], answer), *_body_faults(described, answer, method)]


def _header_faults(described: Any, answer: Any) -> list[str]:
    found = [f"no {name}" for name, one in described.items() if one.get("required") and name not in answer.headers]
    found += [f"undocumented {name}" for name in TOLD_HEADERS if name in answer.headers and name not in described]
    for name, one in described.items():
        if name in answer.headers and not jsonschema_rs.is_valid(one["schema"], answer.headers[name]):
            found.append(f"{name} is {answer.headers[name]}")
    return found


def _body_faults(described: Any, answer: Any, method: str) -> list[str]:
    content = described.get("content", {})
    if not content or method == "head":
        return ["a body that is not documented"] if answer.content else []
    content_type = answer.headers["Content-Type"]
    if content_type not in content:
        return [f"content type {content_type}"]
    is_json = content_type.endswith("json")
    value = answer.json() if is_json else answer.getvalue().decode()
    check = validator(repr(content[content_type]["schema"]))
    return [
        f"{_pointer(error.instance_path)}: {error.message[:300]}"
        for error in check(content[content_type]["schema"], value)
    ]


def _pointer(steps: Any) -> str:
    return "".join(f"/{step}" for step in steps)


@cache
def validator(key: str) -> Callable[[Any, Any], Any]:
    """By the schema's text; made once for each."""
    made: list[Any] = []

    def check(schema: Any, value: Any) -> Any:
        if not made:
            made.append(jsonschema_rs.validator_for(closed(schema), validate_formats=True))
        return made[0].iter_errors(value)

    return check


def closed(schema: Any) -> Any:
    """The schema with all that it refers to, in which objects have no members beside those that are named."""
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", **_closed(schema)}
    return whole | {"components": {"schemas": _closed_all(document()["components"]["schemas"])}}


def _closed_all(schemas: Any) -> Any:
    return {name: _closed(one) for name, one in schemas.items()}


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "allOf" in schema:
        # A problem and what is narrower about it: its members are those of the first.
        return schema
    made = {
        word: value if word in DATA else _closed_all(value) if word == "properties" else _closed(value)
        for word, value in schema.items()
    }
    if made.get("properties") and "additionalProperties" not in made:
        made["additionalProperties"] = False
    return made
