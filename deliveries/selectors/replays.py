"""Reads replays, always those of one merchant."""

from uuid import UUID

from django.db.models import QuerySet

from deliveries.models import Replay
from dispatcher.ids import time_of
from subscriptions.errors import NotFound


def of_owner(owner_id: UUID) -> QuerySet[Replay]:
    return Replay.objects.filter(owner_id=owner_id)


def get(replay_id: UUID, *, owner_id: UUID) -> Replay:
    """Raises NotFound, also for another merchant's."""
    if replay := of_owner(owner_id).filter(id=replay_id).first():
        return replay
    raise NotFound("There is no such replay.")


def progress(replay: Replay) -> float:
    """From 0 to 1: how much of its window of time it has looked through."""
    if replay.status == Replay.Status.FINISHED:
        return 1.0
    if replay.cursor is None:
        return 0.0
    looked_through = (time_of(replay.cursor) - replay.since) / (replay.until - replay.since)
    return min(0.999, max(0.0, looked_through))
