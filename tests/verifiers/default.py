"""The card and account platform, merchant API v2: hexadecimal HMAC-SHA256 over the body as it came."""

import hashlib
import hmac

from tests.verifiers.delivered import Delivered, require, require_same


def verify(request: Delivered) -> None:
    expected = hmac.new(request.secret.encode(), request.body, hashlib.sha256).hexdigest()
    require_same(expected, request.header("X-Webhook-Signature"))
    require(request.header("Content-Type") == "application/json", "the body is not called JSON")
    for name in ("X-Webhook-Event", "X-Webhook-Id", "X-Webhook-Attempt"):
        request.header(name)
