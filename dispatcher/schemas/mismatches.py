"""Says where a payload does not fit its schema, in a bounded number of short sentences that repeat nothing of it.

The validator's own list of errors is not for us: it holds a copy of the value for each, made before the first is read,
which took 4 GB for a payload of 256 KiB. Here the search goes down both trees itself, asks the validator about one
keyword at a time and stops at the first few faults. Each that it tells is one; when it finds none that it can tell
apart, it says so of the whole.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from jsonschema_rs import ValidationError, Validator

from dispatcher.schemas.checker import compile_schema
from dispatcher.schemas.document import Document, Schema, step

MOST_MISMATCHES = 10
MOST_LOOKS = 20_000
# Subschemas times values, about 2 µs each.
SHOWN_CHARACTERS = 100
# Of what the schema asks for.
MOST_POINTER_CHARACTERS = 512
# Names in a payload may be as long as it is: a pointer ends above one that would make it longer.

_ALONE = (
    ("type",),
    ("enum",),
    ("const",),
    ("minimum", "exclusiveMinimum"),
    ("maximum", "exclusiveMaximum"),
    ("multipleOf",),
    ("minLength",),
    ("maxLength",),
    ("pattern",),
    ("format",),
    ("minItems",),
    ("maxItems",),
    ("uniqueItems",),
    ("minProperties",),
    ("maxProperties",),
    ("dependentRequired",),
)
# Judged without the rest of their schema; those of a pair only together, as draft 4 has it.
_CHOICES = ("anyOf", "oneOf")


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A JSON pointer into the payload and what the schema asks for there."""

    pointer: str
    message: str


def mismatches(schema: Schema, value: Any, *, most: int = MOST_MISMATCHES) -> list[Mismatch]:
    """Why a value does not fit. Never empty, so ask only about one that does not."""
    search = _Search(Document(schema))
    try:
        found = list(islice(search.look(schema, value, ""), most))
    except RecursionError:
        found = []
    return found or [Mismatch("", "This does not fit the schema.")]


@dataclass(slots=True)
class _Search:
    document: Document
    looks: int = 0
    _validators: dict[tuple[int, tuple[str, ...]], Validator | None] = field(default_factory=dict)

    def look(self, schema: Schema, value: Any, pointer: str) -> Iterator[Mismatch]:
        """The faults of a value by one subschema; none when the search has been long enough."""
        self.looks += 1
        if self.looks > MOST_LOOKS:
            return
        if not isinstance(schema, dict):
            if schema is False:
                yield Mismatch(pointer, "The schema allows nothing here.")
            return
        references = self.document.targets(schema)
        for target in references:
            yield from self.look(target, value, pointer)
        if references and (self.document.dialect or 0) <= 7:
            return  # What stands beside a reference counts for nothing in these.
        yield from self._look_alone(schema, value, pointer)
        for part in schema.get("allOf", ()):
            yield from self.look(part, value, pointer)
        yield from self._look_choices(schema, value, pointer)
        if isinstance(value, dict):
            yield from self._look_members(schema, value, pointer)
        elif isinstance(value, list):
            yield from self._look_items(schema, value, pointer)

    def _look_alone(self, schema: dict[str, Any], value: Any, pointer: str) -> Iterator[Mismatch]:
        everything = tuple(name for group in _ALONE for name in group)
        if self._fits_alone(schema, everything, value):
            return
        for group in _ALONE:
            if not self._fits_alone(schema, group, value):
                yield Mismatch(pointer, _sentence(schema, group))

    def _fits_alone(self, schema: dict[str, Any], keywords: tuple[str, ...], value: Any) -> bool:
        key = id(schema), keywords
        if key not in self._validators:
            self._validators[key] = self._compile({name: schema[name] for name in keywords if name in schema})
        validator = self._validators[key]
        return validator is None or validator.is_valid(value)

    def _compile(self, alone: dict[str, Any]) -> Validator | None:
        if not alone:
            return None
        root = self.document.root
        dialect = {"$schema": root["$schema"]} if isinstance(root, dict) and "$schema" in root else {}
        try:
            return compile_schema(dialect | alone)
        except ValidationError:
            return None

    def _look_choices(self, schema: dict[str, Any], value: Any, pointer: str) -> Iterator[Mismatch]:
        """A choice is missed for certain when every alternative has a fault."""
        for keyword in _CHOICES:
            if keyword in schema:
                faults = [list(islice(self.look(part, value, pointer), 1)) for part in schema[keyword]]
                if all(faults):
                    yield Mismatch(pointer, f"This fits none of the {len(faults)} alternatives of {keyword}.")

    def _look_members(self, schema: dict[str, Any], value: dict[str, Any], pointer: str) -> Iterator[Mismatch]:
        for name in schema.get("required", ()):
            if name not in value:
                yield Mismatch(_below(pointer, name), "The schema asks for this member.")
        named = schema.get("properties", {})
        for name in [name for name in value if name in named]:
            yield from self.look(named[name], value[name], _below(pointer, name))
        # Whether a name fits a pattern is the validator's to say.
        if "additionalProperties" not in schema or "patternProperties" in schema:
            return
        for name in [name for name in value if name not in named]:
            if schema["additionalProperties"] is False:
                yield Mismatch(_below(pointer, name), "The schema has no such member.")
            else:
                yield from self.look(schema["additionalProperties"], value[name], _below(pointer, name))

    def _look_items(self, schema: dict[str, Any], value: list[Any], pointer: str) -> Iterator[Mismatch]:
        items = schema.get("items", True)
        newest = schema.get("prefixItems", []) if self.document.dialect == 2020 else []
        prefix = items if isinstance(items, list) else newest
        rest = schema.get("additionalItems", True) if isinstance(items, list) else items
        for position, item in enumerate(value):
            if self.looks > MOST_LOOKS:
                return
            judge = prefix[position] if position < len(prefix) else rest
            yield from self.look(judge, item, f"{pointer}/{position}")


def _sentence(schema: dict[str, Any], keywords: tuple[str, ...]) -> str:
    asked = [f"{name} {_short(schema[name])}" for name in keywords if name in schema]
    return f"The schema asks for {' and '.join(asked)}."


def _short(asked: Any) -> str:
    text = json.dumps(asked, ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


def _below(pointer: str, name: str) -> str:
    longer = pointer + step(name)
    return longer if len(longer) <= MOST_POINTER_CHARACTERS else pointer
