"""Shopify's rule, and the headers without which its library for Node refuses a delivery (webhooks/validate.ts)."""

import base64
import hashlib
import hmac
from datetime import datetime

from tests.verifiers.delivered import Delivered, require, require_same

REQUIRED = ("X-Shopify-Topic", "X-Shopify-Shop-Domain", "X-Shopify-API-Version", "X-Shopify-Webhook-Id")


def verify(request: Delivered) -> None:
    digest = hmac.new(request.secret.encode(), request.body, hashlib.sha256).digest()
    require_same(base64.b64encode(digest).decode(), request.header("X-Shopify-Hmac-Sha256"))
    for name in (*REQUIRED, "X-Shopify-Event-Id"):
        require(request.header(name) != "", f"{name} is empty")
    require(datetime.fromisoformat(request.header("X-Shopify-Triggered-At")).tzinfo is not None, "no offset")
