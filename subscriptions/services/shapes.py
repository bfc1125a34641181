"""Reads what a caller sent: every member by its own check, all faults told at once, each with its JSON pointer.

A check takes a JSON value and returns the value to work with, or raises Wrong. A shape maps member names to checks.
Checks that are made here also tell their rule as JSON Schema, so that no document of the API repeats a limit.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from subscriptions.errors import FieldError

Check = Callable[[Any], Any]
Shape = Mapping[str, Check]

MOST_FAULTS = 100
# Reading stops here: a body may hold a million wrong members, and each of them is told in ten times its length.

_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_CONTROL_BUT_LINES = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_RFC_3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,6})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)


LINE = r"^[^\u0000-\u001f\u007f]*$"
PROSE = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]*$"
# The same two as patterns of JSON Schema; no text that came as UTF-8 holds half a surrogate pair.


class Wrong(ValueError):
    """The value fails a check. Holds one or more faults, their pointers relative to the value."""

    def __init__(self, *faults: FieldError) -> None:
        super().__init__(faults[0].message)
        self.faults = faults


def wrong(code: str, message: str, pointer: str = "") -> Wrong:
    return Wrong(FieldError(pointer, code, message))


def read(
    data: Mapping[str, Any], shape: Shape, *, required: Iterable[str] = ()
) -> tuple[dict[str, Any], list[FieldError]]:
    """The members that pass their checks, and the faults of all others, up to about MOST_FAULTS. Absent members are in
    neither."""
    values: dict[str, Any] = {}
    faults = [FieldError(_step(name), "required", "This field is required.") for name in required if name not in data]
    for name, value in data.items():
        if len(faults) >= MOST_FAULTS:
            break
        check = shape.get(name)
        if check is None:
            faults.append(FieldError(_step(name), "unknown_field", "There is no such field."))
            continue
        try:
            values[name] = check(value)
        except Wrong as found:
            faults += _below(_step(name), found)
    return values, faults


def schema_of(check: Check) -> dict[str, Any] | None:
    """The check's rule as JSON Schema; None for a check that does not tell it."""
    found: dict[str, Any] | None = getattr(check, "json_schema", None)
    return found


def described(check: Check, schema: dict[str, Any] | None) -> Check:
    """The same check, which from now on tells its rule."""
    check.json_schema = schema  # type: ignore[attr-defined] # functions take attributes
    return check


def nullable(check: Check) -> Check:
    inner = schema_of(check)
    schema = None if inner is None else inner if not inner else {"anyOf": [inner, {"type": "null"}]}
    return described(lambda value: None if value is None else check(value), schema)


def line(*, most: int, least: int = 1) -> Check:
    """A text without control characters, not even line ends; lengths in characters."""
    schema = {"type": "string", "minLength": least, "maxLength": most, "pattern": LINE}
    return described(_text(least, most, _CONTROL), schema)


def prose(*, most: int) -> Check:
    """A text that may have lines."""
    return described(_text(0, most, _CONTROL_BUT_LINES), {"type": "string", "maxLength": most, "pattern": PROSE})


def _text(least: int, most: int, forbidden: re.Pattern[str]) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise wrong("wrong_type", "This must be a text.")
        if not least <= len(value) <= most:
            raise wrong("wrong_length", f"This must have {least} to {most} characters.")
        if forbidden.search(value):
            raise wrong("control_character", "This must have no control characters.")
        return value

    return check


def choice(options: Iterable[str]) -> Check:
    known = list(options)

    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise wrong("wrong_type", "This must be a text.")
        if value not in known:
            raise wrong("unknown_choice", f"This must be one of: {', '.join(known)}.")
        return value

    return described(check, {"type": "string", "enum": known})


def whole(*, least: int, most: int) -> Check:
    def check(value: Any) -> int:
        if type(value) is float and value.is_integer():
            value = int(value)  # to JSON 60.0 and 60 are one number
        if type(value) is not int:
            raise wrong("wrong_type", "This must be a whole number.")
        if not least <= value <= most:
            raise wrong("out_of_range", f"This must be from {least} to {most}.")
        return value

    return described(check, {"type": "integer", "minimum": least, "maximum": most})


def boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise wrong("wrong_type", "This must be true or false.")
    return value


def anything(value: Any) -> Any:
    return value


def json_object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise wrong("wrong_type", "This must be an object.")
    return value


def moment(value: Any) -> datetime:
    """RFC 3339 with an offset, as UTC."""
    if not isinstance(value, str):
        raise wrong("wrong_type", "This must be a text.")
    try:
        if _RFC_3339.fullmatch(value):
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise wrong("invalid_time", "This must be a time such as 2026-01-31T12:00:00Z.")


described(boolean, {"type": "boolean"})
described(anything, {})
described(json_object, {"type": "object"})
described(moment, {"type": "string", "format": "date-time"})


def list_of(check: Check, *, most: int, least: int = 0) -> Check:
    """A list whose every item passes; all wrong items are told."""

    def check_list(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise wrong("wrong_type", "This must be a list.")
        if not least <= len(value) <= most:
            raise wrong("wrong_length", f"This must have {least} to {most} items.")
        return list(_each(check, ((str(position), item) for position, item in enumerate(value))).values())

    items = schema_of(check)
    schema = {"type": "array", "items": items, "minItems": least, "maxItems": most}
    return described(check_list, None if items is None else schema)


def map_of(check_name: Check, check_value: Check, *, most: int) -> Check:
    """An object whose every name and value passes."""

    def check_map(value: Any) -> dict[str, Any]:
        if len(json_object(value)) > most:
            raise wrong("wrong_length", f"This must have at most {most} members.")
        _each(check_name, ((name, name) for name in value))
        return _each(check_value, value.items())

    names, values = schema_of(check_name), schema_of(check_value)
    if names is None or values is None:
        return check_map
    members = {"propertyNames": names, "additionalProperties": values}
    return described(check_map, {"type": "object", "maxProperties": most, **members})


def _each(check: Check, items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    passed: dict[str, Any] = {}
    faults: list[FieldError] = []
    for name, item in items:
        try:
            passed[name] = check(item)
        except Wrong as found:
            faults += _below(_step(name), found)
    if faults:
        raise Wrong(*faults)
    return passed


def _below(step: str, found: Wrong) -> list[FieldError]:
    return [replace(fault, pointer=step + fault.pointer) for fault in found.faults]


def _step(name: str) -> str:
    """One step of a JSON pointer. Source: RFC 6901, section 3."""
    return "/" + name.replace("~", "~0").replace("/", "~1")
