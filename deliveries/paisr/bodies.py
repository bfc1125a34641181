"""Reads what a Paisr client sends, and says it in the words of endpoints; faults come back in the client's own."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from subscriptions.errors import Invalid
from subscriptions.services import endpoint_rules, shapes

PROFILES = {1: "paisr", 2: "paisr-v2"}
# By the version of the signature.

ALL = ["*"]
# `events` of a webhook that gets all; our own choice, as nothing is published.

NAMES = {"endpoint": "url", "events": "event_types", "version": "profile"}
# What an endpoint calls it, where that is another word.

Result = TypeVar("Result")


def _check_events(value: Any) -> list[Any] | None:
    """What is in the list is judged with the endpoint."""
    names = shapes.list_of(shapes.anything, least=1, most=endpoint_rules.MOST_EVENT_TYPES)(value)
    return None if names == ALL else names


def _check_version(value: Any) -> str:
    return PROFILES[shapes.whole(least=min(PROFILES), most=max(PROFILES))(value)]


CHANGES: shapes.Shape = {
    "description": shapes.anything,
    "endpoint": shapes.anything,
    "events": _check_events,
    "version": _check_version,
    "is_active": shapes.anything,
}
NEW: shapes.Shape = {**CHANGES, "secret": shapes.anything}
REQUIRED = ("endpoint", "events")


def read(data: Mapping[str, Any], shape: shapes.Shape, *, required: Iterable[str] = ()) -> dict[str, Any]:
    """The fields of an endpoint that were meant. Raises Invalid."""
    values, faults = shapes.read(data, shape, required=required)
    if faults:
        raise Invalid(*faults)
    return {NAMES.get(name, name): value for name, value in values.items()}


def in_their_words(do: Callable[[], Result]) -> Result:
    """What `do` returns; the faults that it raises, with pointers into what the client sent."""
    try:
        return do()
    except Invalid as found:
        raise Invalid(*[replace(fault, pointer=_pointer(fault.pointer)) for fault in found.errors]) from None


def _pointer(ours: str) -> str:
    for theirs, name in NAMES.items():
        if ours == f"/{name}" or ours.startswith(f"/{name}/"):
            return f"/{theirs}{ours.removeprefix(f'/{name}')}"
    return ours


def version_of(profile: str) -> int:
    return next(version for version, name in PROFILES.items() if name == profile)


def profiles() -> Collection[str]:
    return PROFILES.values()
