"""Reads a request's body: bounded, JSON only, strictly checked."""

import re
from typing import Any

from django.http import HttpRequest
from rest_framework.exceptions import ParseError, UnsupportedMediaType

from dispatcher.strict_json import UnreadableJson, check_json
from subscriptions.errors import FieldError, Invalid, TooLarge

MAX_BODY_BYTES = 262_144
# The largest object of these routes is an event type with schema and example; the same bound as a payload.

_JSON = re.compile(r'application/json[ \t]*(?:;[ \t]*charset="?utf-?8"?[ \t]*)?', re.IGNORECASE)


def read(request: HttpRequest, *, limit: int = MAX_BODY_BYTES) -> bytes:
    """The whole body. Raises TooLarge, before reading where the length is told, else one byte past the limit, and
    ParseError when the caller hung up before the length that it told."""
    length = request.META.get("CONTENT_LENGTH") or ""
    if not length and request.META.get("wsgi.input_terminated"):
        # Sent in chunks: Django would read nothing, the server's stream ends by itself.
        raw: bytes = request.META["wsgi.input"].read(limit + 1)
    elif length.isdecimal() and int(length) > limit:
        raise _too_large(limit)
    else:
        raw = request.read(limit + 1)
        if length.isdecimal() and len(raw) < int(length):
            raise ParseError("The body ended before its Content-Length.", code="incomplete_body")
    if len(raw) > limit:
        raise _too_large(limit)
    return raw


def read_object(request: HttpRequest, raw: bytes, *, may_be_empty: bool = False) -> dict[str, Any]:
    """The JSON object in `raw`. Raises UnsupportedMediaType (415), ParseError (400) or Invalid."""
    if not raw:
        if may_be_empty:
            return {}
        raise ParseError("The body is empty; a JSON object is needed.", code="empty_body")
    check_type(request)
    value = parse(raw)
    if not isinstance(value, dict):
        raise Invalid(FieldError("", "wrong_type", "The body must be a JSON object."))
    return value


def is_json(content_type: str) -> bool:
    """Whether a body is announced as plain JSON in UTF-8."""
    return _JSON.fullmatch(content_type.strip()) is not None


def check_type(request: HttpRequest) -> None:
    """Raises UnsupportedMediaType unless the body is announced as plain JSON in UTF-8."""
    given = request.META.get("CONTENT_TYPE", "")
    if not is_json(given) or request.headers.get("Content-Encoding", "identity") != "identity":
        raise UnsupportedMediaType(given, "Send the body as `Content-Type: application/json`, in UTF-8, unencoded.")


def parse(raw: bytes) -> Any:
    try:
        return check_json(raw)
    except UnreadableJson as trouble:
        raise ParseError(trouble.detail, code=trouble.code) from None


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than {limit} bytes.")
