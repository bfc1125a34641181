"""Keeps the catalogue's entries of the platform's own event types as this version documents them."""

from datetime import datetime

from django.db import transaction

from dispatcher.ids import new_id
from subscriptions.models import EventType
from subscriptions.operational import TYPES
from subscriptions.providers.model import CatalogueType

_FIELDS = ("group", "description", "schema", "example")


@transaction.atomic
def ensure(*, now: datetime) -> None:
    """Add the types that are missing and bring the others up to this version. Nothing is written where nothing
    differs."""
    present = EventType.objects.select_for_update().in_bulk([wanted.name for wanted in TYPES], field_name="name")
    for wanted in TYPES:
        row = present.get(wanted.name)
        if row is None:
            values = {field: getattr(wanted, field) for field in _FIELDS}
            EventType.objects.create(name=wanted.name, created_at=now, updated_at=now, **values)
        elif _differs(row, wanted):
            _bring_up(row, wanted, now=now)


def _differs(row: EventType, wanted: CatalogueType) -> bool:
    is_changed = any(getattr(row, field) != getattr(wanted, field) for field in _FIELDS)
    return is_changed or row.archived or row.strict


def _bring_up(row: EventType, wanted: CatalogueType, *, now: datetime) -> None:
    for field in _FIELDS:
        setattr(row, field, getattr(wanted, field))
    row.archived, row.strict, row.schema_tag, row.updated_at = False, False, new_id(), now
    row.save()
