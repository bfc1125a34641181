"""Reads Paisr's deliveries, versions 1 and 2: an id and an event, signed with the webhook's secret.

Source: Paisr developer documentation, authenticating webhooks, both versions.
"""

import hashlib
import hmac
import json

from deliveries.demo.receivers.model import Headers, Known, Reading
from deliveries.receiver import TOLERANCE_S, Verdict


def read_v1(known: Known, headers: Headers, body: bytes, now: float) -> Reading:  # noqa: ARG001
    given = headers.get("x-paisr-signature", "")
    return Reading(_verdict(known, given, body, headers), _key(body))


def read_v2(known: Known, headers: Headers, body: bytes, now: float) -> Reading:
    stamp = headers.get("x-pcb-timestamp", "")
    verdict = _verdict(known, headers.get("x-pcb-signature", ""), f"{stamp}.".encode() + body, headers)
    if verdict is Verdict.GOOD and abs(now - int(stamp)) > TOLERANCE_S:
        verdict = Verdict.EXPIRED
    return Reading(verdict, _key(body))


def _verdict(known: Known, given: str, signed: bytes, headers: Headers) -> Verdict | None:
    if known.secret is None:
        return None
    expected = hmac.new(known.secret.encode(), signed, hashlib.sha256).hexdigest()
    is_theirs = headers.get("user-agent") == "PCB Events"
    return Verdict.GOOD if is_theirs and hmac.compare_digest(given.encode(), expected.encode()) else Verdict.BAD


def _key(body: bytes) -> str:
    event = json.loads(body)
    return f"{event['event']} {event['id']}"
