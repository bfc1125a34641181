"""Two subschemas that hold for the same value, as one: for making samples, where a rough answer will do."""

from typing import Any

from dispatcher.schemas.document import Schema

Merged = dict[str, Any]

_LARGER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains")
_SMALLER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_SCHEMAS = ("items", "additionalProperties", "propertyNames", "contains")


def merge(one: Merged, other: Merged) -> Merged:
    """What both ask for. Where they cannot be joined the first one stays, and the sample may then not fit."""
    merged = dict(one)
    for keyword, value in other.items():
        merged[keyword] = _join(keyword, merged[keyword], value) if keyword in merged else value
    return merged


def _join(keyword: str, one: Any, other: Any) -> Any:  # noqa: PLR0911 - a table
    if keyword in _LARGER:
        return max(one, other)
    if keyword in _SMALLER:
        return min(one, other)
    if keyword == "required":
        return list(dict.fromkeys([*one, *other]))
    if keyword == "enum":
        return [option for option in one if option in other]
    if keyword == "type":
        return _types(types_of(one), types_of(other))
    if keyword in _SCHEMAS:
        return both(one, other)
    if keyword in ("properties", "patternProperties"):
        joined = {name: both(one[name], schema) if name in one else schema for name, schema in other.items()}
        return one | joined
    return one


def both(one: Schema, other: Schema) -> Schema:
    if one is False or other is False:
        return False
    return {"allOf": [one, other]}


def types_of(named: Any) -> list[str]:
    return named if isinstance(named, list) else [named]


def _types(one: list[str], other: list[str]) -> list[str]:
    """Integers are numbers."""
    shared = [name for name in one if name in other]
    if "integer" in {*one, *other} and "number" in {*one, *other} and "integer" not in shared:
        shared.append("integer")
    return shared
