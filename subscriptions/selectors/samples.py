"""A payload to show, and to try an endpoint with, for each event type."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dispatcher.schemas.samples import make_sample
from subscriptions.models import EventType


class Source(StrEnum):
    EXAMPLE = "example"
    SCHEMA = "schema"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class TypeSample:
    """A payload as a JSON value and where it is from."""

    value: Any
    source: Source


def sample_of(event_type: EventType) -> TypeSample:
    """The catalogue's example, else one that the schema makes, else a flat object, which every format can carry."""
    if event_type.example is not None:
        return TypeSample(event_type.example, Source.EXAMPLE)
    if event_type.schema is not None and (made := make_sample(event_type.schema)):
        return TypeSample(made.value, Source.SCHEMA)
    return default_of(event_type)


def default_of(event_type: EventType) -> TypeSample:
    flat = {"id": "test-1", "type": event_type.name, "test": "true", "text": "This is a test event."}
    return TypeSample(flat, Source.DEFAULT)


def is_flat(value: Any) -> bool:
    """Whether a form can carry it: an object of single values."""
    return isinstance(value, dict) and not any(isinstance(member, dict | list) for member in value.values())
