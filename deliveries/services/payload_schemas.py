"""What a process knows of the schemas of strict types, and whether payloads fit them.

The database has the last word: each event is published with the tag of the schema that its payload was checked with,
and none is written whose type asks for another. What is known here may therefore be old without harm; types that are
not strict are not known here and cost one look into a dictionary.
"""

import json
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from threading import Lock
from typing import Any
from uuid import UUID

from jsonschema_rs import ValidationError

from dispatcher.schemas.checker import Checker
from dispatcher.schemas.mismatches import mismatches
from subscriptions.errors import FieldError
from subscriptions.models import EventType

MOST_KNOWN = 256
# Schemas, at 10 to 200 KB each when compiled. The one that was learnt first makes room; it is learnt again when needed.


@dataclass(frozen=True, slots=True)
class Known:
    """A strict type's schema; no checker when what is stored cannot be used."""

    tag: UUID
    checker: Checker | None


_known: OrderedDict[str, Known] = OrderedDict()
_lock = Lock()


def checked_tag(event_type: str, payload: bytes) -> UUID | None:
    """The tag of the schema that the payload fits, as far as it is known here; None when it was not checked, or does
    not fit: then the database says whether that matters."""
    known = _known.get(event_type)
    if known is None or known.checker is None:
        return None
    return known.tag if known.checker.fits(json.loads(payload)) else None


def learn(names: Collection[str]) -> dict[str, Known]:
    """What the catalogue says now, in one statement. Types that are not strict are left out, and forgotten."""
    rows = EventType.objects.filter(name__in=names, strict=True).values_list("name", "schema_tag", "schema")
    found = {name: _compiled(name, tag, schema) for name, tag, schema in rows}
    with _lock:
        for name in names:
            _known.pop(name, None)
        _known.update(found)
        while len(_known) > MOST_KNOWN:
            _known.popitem(last=False)
    return found


def _compiled(name: str, tag: UUID, schema: Any) -> Known:
    known = _known.get(name)
    if known is not None and known.tag == tag:
        return known
    try:
        return Known(tag, Checker(schema))
    except ValidationError:
        return Known(tag, None)


def forget(names: Collection[str]) -> None:
    """These types are not strict any more, or never were."""
    for name in names:
        if name in _known:
            with _lock:
                _known.pop(name, None)


def faults(known: Known, payload: bytes) -> list[FieldError]:
    """Why a payload does not fit; pointers begin at the payload. Nothing when it does."""
    if known.checker is None:
        return [FieldError("", "schema_unusable", "The stored schema of this type cannot be used. Save it anew.")]
    value = json.loads(payload)
    if known.checker.fits(value):
        return []
    found = mismatches(known.checker.schema, value)
    return [FieldError(one.pointer, "schema_mismatch", one.message) for one in found]
