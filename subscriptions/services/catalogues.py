"""Brings a payment system's ready catalogue into the platform's, as often as one likes."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction

from subscriptions.models import EventType
from subscriptions.providers import CatalogueType, Provider
from subscriptions.services import event_types, provider_keys

_FIELDS = ("group", "description", "schema", "example")


@dataclass(slots=True)
class Loaded:
    """The names of the types, by what became of them. `differing` ones are unchanged and not as in the catalogue."""

    created: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)


@transaction.atomic
def load(
    provider: Provider, *, now: datetime, actor: str, is_replacing: bool = False, is_strict: bool = False
) -> Loaded:
    """Add the types that are missing and the keys that its formats sign with.

    What somebody changed stays, unless `is_replacing`. `is_strict`: payloads that do not fit are refused, for every
    type that is created or replaced here. Raises Invalid or Conflict.
    """
    loaded = Loaded()
    for family in provider.key_families:
        provider_keys.ensure(family=family, now=now, actor=actor)
    present = {row.name: row for row in EventType.objects.filter(name__in=[type_.name for type_ in provider.types])}
    for wanted in provider.types:
        values = _values(wanted, is_strict=is_strict)
        row = present.get(wanted.name)
        if row is None:
            event_types.create(data={"name": wanted.name, **values}, now=now, actor=actor)
            loaded.created.append(wanted.name)
        elif is_replacing and _differs(row, values):
            event_types.update(name=wanted.name, data={**values, "archived": False}, now=now, actor=actor)
            loaded.updated.append(wanted.name)
        else:
            loaded.unchanged.append(wanted.name)
            loaded.differing += [wanted.name] if _differs(row, values) else []
    return loaded


def _values(wanted: CatalogueType, *, is_strict: bool) -> dict[str, Any]:
    values = {name: getattr(wanted, name) for name in _FIELDS}
    return {**values, "strict": True} if is_strict else values


def _differs(row: EventType, values: dict[str, Any]) -> bool:
    return row.archived or any(getattr(row, name) != value for name, value in values.items())
