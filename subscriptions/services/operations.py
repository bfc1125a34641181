"""Writes down what happened to endpoints and their secrets, in the transaction that did it; others publish it."""

from datetime import datetime
from typing import Any

from dispatcher.ids import new_id
from dispatcher.words import WORDS
from subscriptions.models import Endpoint, Occurrence, SigningSecret
from subscriptions.operational import Operation
from subscriptions.services.notices import Failing

DISABLED_WORDS = {
    "failing": "It took nothing for days",
    "paused": "Switched off by its owner",
    "unsubscribed": "The owner of the address wants no more",
}
SWITCHED_OFF = "Switched off"
# For the reasons that operators give.


def note_disabled(endpoint: Endpoint, *, reason: str, failing: Failing | None, now: datetime) -> None:
    """`failing` where failures led to it."""
    message = DISABLED_WORDS.get(reason) or WORDS.get(reason, SWITCHED_OFF)
    since = None if failing is None else rfc3339(failing.since)
    last = None if failing is None else result(failing.reason, failing.status)
    detail = {"reason": reason, "message": message, "failing_since": since, "last_attempt": last}
    _note(Operation.ENDPOINT_DISABLED, endpoint, detail, now=now)


def note_rotated(
    endpoint: Endpoint, secret: SigningSecret, *, previous_expires_at: datetime | None, now: datetime
) -> None:
    """The secret's id, never the secret."""
    expires_at = None if previous_expires_at is None else rfc3339(previous_expires_at)
    detail = {"secret": secret.public_id, "previous_expires_at": expires_at}
    _note(Operation.SECRET_ROTATED, endpoint, detail, now=now)


def result(reason: str, status: int | None) -> dict[str, Any]:
    """What came of an attempt: as a code, in plain words, and the answer's status."""
    return {"reason": reason, "message": WORDS.get(reason, reason), "response_code": status}


def rfc3339(moment: datetime) -> str:
    """A time in UTC as the API writes it."""
    return moment.isoformat().replace("+00:00", "Z")


def _note(operation: Operation, endpoint: Endpoint, detail: dict[str, Any], *, now: datetime) -> None:
    Occurrence.objects.create(
        id=new_id(),
        type=operation.value,
        merchant_id=endpoint.owner_id,
        endpoint_id=endpoint.id,
        detail=detail,
        created_at=now,
    )
