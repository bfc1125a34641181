"""Everything that happens to the catalogue of event types."""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from dispatcher.ids import Prefix, new_id, show
from dispatcher.schemas.checker import Checker, schema_faults
from dispatcher.schemas.mismatches import mismatches
from subscriptions.errors import Conflict, FieldError, Invalid, NotFound
from subscriptions.models import Endpoint, EventType
from subscriptions.models.catalogue import EVENT_TYPE_LENGTH, EVENT_TYPE_PATTERN
from subscriptions.operational import is_reserved
from subscriptions.services import audit, shapes
from subscriptions.services.conflicts import refuse_duplicate
from subscriptions.services.shapes import Shape, Wrong, wrong

RESERVED = "Types of the group signet are the platform's own: nobody else makes, changes or publishes them."

_NAME = re.compile(EVENT_TYPE_PATTERN, re.ASCII)


def check_name(value: Any) -> str:
    name: str = shapes.line(most=EVENT_TYPE_LENGTH)(value)
    if not _NAME.fullmatch(name):
        raise wrong("invalid_name", "A name is groups of letters, digits, _ and - joined by dots.")
    if is_reserved(name):
        raise wrong("reserved", RESERVED)
    return name


def _check_schema(value: Any) -> Any:
    """Nothing that it refers to is ever fetched."""
    if faults := schema_faults(value):
        raise Wrong(*(FieldError(fault.pointer, fault.code, fault.message) for fault in faults))
    return value


CHANGES: Shape = {
    "group": shapes.line(least=0, most=128),
    "description": shapes.prose(most=10_000),
    "schema": shapes.nullable(_check_schema),
    "example": shapes.anything,
    "strict": shapes.boolean,
    "archived": shapes.boolean,
}
NEW: Shape = {"name": check_name, **CHANGES}


@transaction.atomic
def create(*, data: Mapping[str, Any], now: datetime, actor: str) -> EventType:
    """A new type. Raises Invalid, or Conflict when the name is taken."""
    event_type = EventType(created_at=now, updated_at=now, **_check(data, NEW, required=("name",)))
    _check_strictness(event_type)
    with refuse_duplicate("event_type_name_unique", "There is a type of this name.", code="name_taken"):
        event_type.save(force_insert=True)
    _note(event_type, "event_type.created", now=now, actor=actor)
    return event_type


@transaction.atomic
def update(*, name: str, data: Mapping[str, Any], now: datetime, actor: str) -> EventType:
    """Change the fields in `data`; the name is for good. Raises NotFound or Invalid.

    A new tag tells every process that what it knows of the schema is past.
    """
    event_type = _lock(name)
    before = event_type.schema, event_type.strict
    for field, value in _check(data, CHANGES).items():
        setattr(event_type, field, value)
    _check_strictness(event_type)
    # Compared as text: to Python 1, 1.0 and true are the same.
    if json.dumps(before) != json.dumps((event_type.schema, event_type.strict)):
        event_type.schema_tag = new_id()
    event_type.updated_at = now
    event_type.save()
    _note(event_type, "event_type.updated", now=now, actor=actor)
    return event_type


@transaction.atomic
def delete(*, name: str, now: datetime, actor: str) -> None:
    """Take a type out of the catalogue; events of it stay, they hold its name themselves.

    Raises Conflict while an endpoint names it: archiving is for types that somebody used.
    """
    event_type = _lock(name)
    if Endpoint.objects.filter(deleted_at=None, event_types__contains=[name]).exists():
        detail = 'Endpoints still name this type. Archive it instead: {"archived": true}.'
        raise Conflict(detail, code="in_use")
    _note(event_type, "event_type.deleted", now=now, actor=actor)
    event_type.delete()


def _lock(name: str) -> EventType:
    event_type = EventType.objects.select_for_update().filter(name=name).first()
    if event_type is None:
        raise NotFound("There is no such event type.")
    if is_reserved(name):
        raise Invalid(FieldError("/name", "reserved", RESERVED))
    return event_type


def _check(data: Mapping[str, Any], shape: Shape, *, required: tuple[str, ...] = ()) -> dict[str, Any]:
    values, faults = shapes.read(data, shape, required=required)
    if faults:
        raise Invalid(*faults)
    return values


def _check_strictness(event_type: EventType) -> None:
    """A type that refuses payloads says which, and takes its own example."""
    if not event_type.strict:
        return
    if event_type.schema is None:
        raise Invalid(FieldError("/strict", "schema_needed", "A type can be strict only with a schema."))
    if faults := schema_faults(event_type.schema):  # stored before schemas were checked
        raise Invalid(*(FieldError(f"/schema{fault.pointer}", fault.code, fault.message) for fault in faults))
    if event_type.example is not None and not Checker(event_type.schema).fits(event_type.example):
        found = mismatches(event_type.schema, event_type.example)
        raise Invalid(*(FieldError(f"/example{one.pointer}", "schema_mismatch", one.message) for one in found))


def _note(event_type: EventType, action: str, *, now: datetime, actor: str) -> None:
    target = show(Prefix.EVENT_TYPE, event_type.id)
    audit.note(actor=actor, action=action, target=target, detail={"name": event_type.name}, now=now)
