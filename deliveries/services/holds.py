"""Releasing what an operator held: the endpoints are on again, and all that waited for them is sent."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from deliveries.models import Replay
from deliveries.services import replays
from subscriptions.errors import Conflict
from subscriptions.models import Endpoint, Merchant
from subscriptions.services import holds


@transaction.atomic
def release(*, merchant: Merchant, now: datetime, actor: str, endpoint_id: UUID | None = None) -> list[Replay]:
    """Let go of the merchant's held endpoints, or of the one that is named, and begin to send what is held for them.
    Raises NotFound, or Conflict when nothing is held."""
    enabled = holds.let_go(merchant=merchant, endpoint_id=endpoint_id, now=now, actor=actor)
    return [begun for endpoint in enabled if (begun := _send_held(endpoint, now=now, actor=actor))]


def _send_held(endpoint: Endpoint, *, now: datetime, actor: str) -> Replay | None:
    """None where a release runs already: it goes on."""
    try:
        return replays.begin(endpoint=endpoint, kind=Replay.Kind.RELEASE, since=None, until=None, actor=actor, now=now)
    except Conflict:
        return None
