"""Reads Paysafe's deliveries as a shop plugin does: the key is base64, and both it and the body are trimmed.

Source: Paysafe developer documentation, webhook signature.
"""

import base64
import hashlib
import hmac
import json

from deliveries.demo.receivers.model import Headers, Known, Reading
from deliveries.receiver import Verdict

TRIMMED = b"\x00\t\n\x0b\r "
# What PHP's trim() takes away, which plugins apply to whatever they are given.


def read(known: Known, headers: Headers, body: bytes, now: float) -> Reading:  # noqa: ARG001
    event = json.loads(body)
    key = f"{event['eventType']} {event['resourceId']}"
    is_complete = event["payload"]["id"] == event["resourceId"] and event["attemptNumber"].isdecimal()
    if known.secret is None:
        return Reading(None, key)
    shared = base64.b64decode(known.secret, validate=True).strip(TRIMMED)
    expected = base64.b64encode(hmac.new(shared, body.strip(TRIMMED), hashlib.sha256).digest())
    given = headers.get("signature", "").encode()
    return Reading(Verdict.GOOD if is_complete and hmac.compare_digest(given, expected) else Verdict.BAD, key)
