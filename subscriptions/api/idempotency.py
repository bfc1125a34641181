"""`Idempotency-Key`: a POST that is repeated gets the first answer again."""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from datetime import datetime

from django.http import HttpRequest
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from subscriptions.errors import FieldError, Invalid
from subscriptions.services import stored_answers

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
_KEY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,126}[\x21-\x7e])?")


def is_key(text: str) -> bool:
    """Whether a key has the form that keys have."""
    return _KEY.fullmatch(text) is not None


def read_key(request: HttpRequest) -> str | None:
    """The caller's key, or None without the header. Raises Invalid for more than 128 characters or odd ones."""
    key = request.headers.get(HEADER)
    if key is not None and not is_key(key):
        message = "An Idempotency-Key has 1 to 128 visible ASCII characters."
        raise Invalid(FieldError(f"/{HEADER}", "invalid_idempotency_key", message))
    return key


def answer(
    request: HttpRequest, raw_body: bytes, *, scope: str, now: datetime, make: Callable[[], Response]
) -> Response:
    """`make()`, once for each key of this caller. Only successes are kept: a refusal changed nothing, so a repeat is
    judged anew."""
    key = read_key(request)
    if key is None:
        return make()
    (status, stored), is_repeat = stored_answers.answer_once(
        scope=scope, key=key, request_hash=_hash(request, raw_body), now=now, make=lambda: _store(make())
    )
    return _restore(status, stored, is_repeat=is_repeat)


def _hash(request: HttpRequest, raw_body: bytes) -> bytes:
    """What makes two requests the same: method, path, query and body."""
    head = f"{request.method} {request.get_full_path()}\n".encode()
    return hashlib.sha256(head + raw_body).digest()


def _store(response: Response) -> tuple[int, bytes]:
    body = base64.b64encode(JSONRenderer().render(response.data)).decode()
    return response.status_code, json.dumps({"headers": dict(response.headers), "body": body}).encode()


def _restore(status: int, stored: bytes, *, is_repeat: bool) -> Response:
    kept = json.loads(stored)
    headers = kept["headers"] | ({REPLAYED: "true"} if is_repeat else {})
    return Response(json.loads(base64.b64decode(kept["body"])), status=status, headers=headers)
