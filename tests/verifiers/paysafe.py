"""Paysafe, verified as its merchants' plugins do: key and body are trimmed before they are used."""

import base64
import hashlib
import hmac
import json
from datetime import datetime

from tests.verifiers.delivered import Delivered, require, require_same

TRIMMED = bytes.fromhex("00090A0B0D20")
REQUIRED = ("payload", "eventType", "eventName", "attemptNumber", "resourceId", "eventDate", "mode")


def verify(request: Delivered) -> None:
    key = base64.b64decode(request.secret, validate=True).strip(TRIMMED)
    digest = hmac.new(key, request.body.strip(TRIMMED), hashlib.sha256).digest()
    require_same(base64.b64encode(digest).decode(), request.header("Signature"))
    require(request.header("Content-Type") == "application/json", "the body is not called JSON")
    event = json.loads(request.body)
    require(all(name in event for name in REQUIRED), "the event lacks something")
    require(isinstance(event["attemptNumber"], str) and event["attemptNumber"].isdigit(), "the attempt is no text")
    require(event["mode"] in {"live", "test"}, "the mode is unknown")
    require(datetime.fromisoformat(event["eventDate"]).utcoffset() is not None, "the date has no offset")
