"""Reads deliveries of the card platform: signed twice, and the body is the resource itself."""

import json

from deliveries.demo.receivers.model import Headers, Known, Reading
from deliveries.receiver import Verdict, check_hex, check_standard


def read(known: Known, headers: Headers, body: bytes, now: float) -> Reading:
    """Both signatures must hold."""
    resource = json.loads(body)
    key = f"{headers['x-webhook-event']} {resource.get('id')} {resource.get('updatedAt')}"
    if known.secret is None:
        return Reading(None, key)
    verdicts = (check_hex(known.secret, headers, body), check_standard(known.secret, headers, body, now=now))
    return Reading(next((verdict for verdict in verdicts if verdict is not Verdict.GOOD), Verdict.GOOD), key)
