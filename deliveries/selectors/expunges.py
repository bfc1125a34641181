"""Reads expunges: whose contents were taken out of the log, and how far that is."""

from uuid import UUID

from django.db.models import QuerySet

from deliveries.models import Expunge
from deliveries.selectors.progress import within
from subscriptions.errors import NotFound


def every() -> QuerySet[Expunge]:
    return Expunge.objects.all()


def get(expunge_id: UUID) -> Expunge:
    """Raises NotFound."""
    if found := Expunge.objects.filter(id=expunge_id).first():
        return found
    raise NotFound("There is no such expunge.")


def progress(expunge: Expunge) -> float:
    """From 0 to 1: how much of the merchant's events it has looked through."""
    if expunge.status == Expunge.Status.FINISHED:
        return 1.0
    return within(expunge.cursor, since=expunge.since, until=min(expunge.until, expunge.created_at))
