"""Reads exports, always those of one merchant."""

from uuid import UUID

from django.db.models import QuerySet

from deliveries.models import Export
from deliveries.selectors.progress import within
from subscriptions.errors import NotFound


def of_owner(owner_id: UUID) -> QuerySet[Export]:
    return Export.objects.filter(owner_id=owner_id)


def get(export_id: UUID, *, owner_id: UUID) -> Export:
    """Raises NotFound, also for another merchant's."""
    if found := of_owner(owner_id).filter(id=export_id).first():
        return found
    raise NotFound("There is no such export.")


def progress(export: Export) -> float:
    """From 0 to 1: how much of its window of time is in the file."""
    if export.status == Export.Status.FINISHED:
        return 1.0
    return within(export.cursor, since=export.since, until=min(export.until, export.created_at))
