"""Reads the payment gateway's deliveries: not signed, but they show the user name and password of the registration."""

import base64
import hmac
import json
from typing import Any

from deliveries.demo.receivers.model import Headers, Known, Reading
from deliveries.receiver import Verdict

DATA_TYPES = {"processing": "Transaction", "billing": "Object", "management": "Object"}


def read(known: Known, headers: Headers, body: bytes, now: float) -> Reading:  # noqa: ARG001
    event = json.loads(body)
    key = f"{event['type']} {event['data']['id']}"
    if not known.username:
        return Reading(None, key)
    expected = b"Basic " + base64.b64encode(f"{known.username}:{known.password}".encode())
    is_good = hmac.compare_digest(headers.get("authorization", "").encode(), expected) and _is_complete(event)
    return Reading(Verdict.GOOD if is_good else Verdict.BAD, key)


def _is_complete(event: dict[str, Any]) -> bool:
    """Whether it has the fields that its type announces. Changed fields are named and can be looked up."""
    is_modified = event["type"].endswith("-modified")
    changed = event.get("changed", [])
    return (
        event["dataType"] == DATA_TYPES[event["type"].partition(".")[0]]
        and bool(event["timestamp"])
        and bool(changed) == is_modified
        and set(changed) <= set(event["data"])
    )
