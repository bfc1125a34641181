"""`POST /events` for callers that come at the same moment: read, published and answered together, each by itself.

Only what is plain success is answered here. For everything else there is the view, which judges the request anew.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import psycopg
from django.conf import settings
from django.db import Error
from django.utils import timezone
from rest_framework.exceptions import APIException

from deliveries.api import event_bodies
from deliveries.api.publish_views import ENVELOPE_BYTES
from deliveries.api.representations import accepted
from deliveries.services.publish_group import Asked, publish_group
from subscriptions.errors import Refusal
from subscriptions.services import keys

_encode = msgspec.json.Encoder().encode
BROKEN = ("08", "57P")
# Codes of a server that goes away, and so may have committed and not said so. Source: PostgreSQL, appendix A.


class Call(NamedTuple):
    """A request whose form is sound: its API key, its `Idempotency-Key` and its body, none of them judged yet."""

    key: str
    idempotency_key: str | None
    body: bytes


class Unsure(Exception):
    """The database went away: the events may be there, or not. To publish them once more could double them."""


def publish(calls: Sequence[Call]) -> list[bytes | None]:
    """The bodies of the 202s; None for a call that the view has to answer, of which nothing was written."""
    answers: list[bytes | None] = [None] * len(calls)
    asked = {position: one for position, call in enumerate(calls) if (one := _read(call)) is not None}
    try:
        published = publish_group(list(asked.values()), now=timezone.now())
    except Error as error:
        if _is_undone(error):
            return answers
        raise Unsure from error
    for position, answer in zip(asked, published, strict=True):
        if answer is not None:
            answers[position] = _encode(accepted(answer))
    return answers


def _read(call: Call) -> Asked | None:
    key = keys.known(call.key)
    if key is None or len(call.body) > settings.PAYLOAD_MAX_BYTES + ENVELOPE_BYTES:
        return None
    try:
        return Asked(event_bodies.read_event(call.body, idempotency_key=call.idempotency_key), key)
    except (APIException, Refusal):
        return None


def _is_undone(error: Error) -> bool:
    """Whether the server itself said that the statement failed."""
    cause = error.__cause__
    return isinstance(cause, psycopg.Error) and cause.sqlstate is not None and not cause.sqlstate.startswith(BROKEN)
