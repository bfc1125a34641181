"""Reads the catalogue of event types."""

from django.db.models import QuerySet

from subscriptions.errors import NotFound
from subscriptions.models import EventType


def every() -> QuerySet[EventType]:
    return EventType.objects.all()


def on_offer() -> QuerySet[EventType]:
    """What merchants can subscribe to: archived types are left out."""
    return EventType.objects.filter(archived=False)


def get(name: str) -> EventType:
    """Raises NotFound. Archived types are readable."""
    if event_type := EventType.objects.filter(name=name).first():
        return event_type
    raise NotFound("There is no such event type.")


def get_on_offer(name: str) -> EventType:
    """As merchants see them. Raises NotFound, for archived types too."""
    if event_type := on_offer().filter(name=name).first():
        return event_type
    raise NotFound("There is no such event type.")
