"""A schema as a graph of subschemas: where they stand, and where references lead. Nothing is ever fetched."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple
from urllib.parse import unquote

Schema = dict[str, Any] | bool

NEWEST = "https://json-schema.org/draft/2020-12/schema"
DIALECTS = {
    NEWEST: 2020,
    "https://json-schema.org/draft/2019-09/schema": 2019,
    "http://json-schema.org/draft-07/schema": 7,
    "http://json-schema.org/draft-06/schema": 6,
    "http://json-schema.org/draft-04/schema": 4,
}
REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
DRAFT_OF = {"$dynamicRef": 2020, "$recursiveRef": 2019}
ANCHORS = ("$anchor", "$dynamicAnchor")

# Where subschemas stand. Source: JSON Schema 2020-12, core, sections 10 and 11; `dependencies`, `additionalItems` and
# a list of `items` from the drafts before.
HERE = frozenset({"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies"})
# These judge the same value as the schema they stand in,
IDLE = frozenset({"$defs", "definitions", "contentSchema"})
# these nothing by themselves, all others a part of the value.
_ONE = frozenset(
    {
        *("not", "if", "then", "else", "additionalProperties", "unevaluatedProperties", "propertyNames"),
        *("contains", "items", "additionalItems", "unevaluatedItems", "contentSchema"),
    }
)
_LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems", "items"})
_MAPS = frozenset({"properties", "patternProperties", "dependentSchemas", "dependencies", "$defs", "definitions"})


class Place(NamedTuple):
    """A subschema: the keyword that holds it, its name or number there, and its JSON pointer below the holder."""

    keyword: str
    name: str
    pointer: str
    schema: Schema


def step(name: str) -> str:
    """One step of a JSON pointer. Source: RFC 6901, section 3."""
    return "/" + name.replace("~", "~0").replace("/", "~1")


def places(schema: Schema) -> Iterator[Place]:
    """The subschemas that stand in a schema itself, those behind its references left out. Takes broken schemas."""
    if not isinstance(schema, dict):
        return
    for keyword, value in schema.items():
        if keyword in _ONE and isinstance(value, dict | bool):
            yield Place(keyword, "", step(keyword), value)
        elif keyword in _LISTS and isinstance(value, list):
            for number, item in enumerate(value):
                if isinstance(item, dict | bool):
                    yield Place(keyword, str(number), f"{step(keyword)}/{number}", item)
        elif keyword in _MAPS and isinstance(value, dict):
            for name, item in value.items():
                if isinstance(item, dict | bool):
                    yield Place(keyword, name, step(keyword) + step(name), item)


class Document:
    """One schema with everything that can be reached in it."""

    def __init__(self, root: Schema) -> None:
        self.root = root
        self._found: dict[str, Schema | None] = {}

    @property
    def dialect(self) -> int | None:
        """The year or number of its draft; None for one that we do not know."""
        named = self.root.get("$schema", NEWEST) if isinstance(self.root, dict) else NEWEST
        return DIALECTS.get(named.removesuffix("#")) if isinstance(named, str) else None

    @cached_property
    def parts(self) -> list[tuple[str, dict[str, Any]]]:
        """Every subschema that is an object, once, with a pointer to it; the root first."""
        parts: list[tuple[str, dict[str, Any]]] = []
        seen: set[int] = set()
        waiting: list[tuple[str, Schema | None]] = [("", self.root)]
        while waiting:
            pointer, schema = waiting.pop()
            if not isinstance(schema, dict) or id(schema) in seen:
                continue
            seen.add(id(schema))
            parts.append((pointer, schema))
            waiting += [(pointer + place.pointer, place.schema) for place in places(schema)]
            # A pointer may lead to where no keyword holds schemas, e.g. `#/components/schemas/a`.
            pointers = [target for target in references(schema).values() if target.startswith("#/")]
            waiting += [(target[1:], self.find(target)) for target in pointers]
        return parts

    def find(self, reference: str) -> Schema | None:
        """What `#`, `#/a/b` or `#name` stands for; None when there is nothing, or anything but a schema."""
        if reference not in self._found:
            self._found[reference] = self._find(unquote(reference[1:])) if reference.startswith("#") else None
        return self._found[reference]

    def _find(self, fragment: str) -> Schema | None:
        found: Any = self.root
        if fragment and not fragment.startswith("/"):
            found = next((part for _, part in self.parts if fragment in (part.get(name) for name in ANCHORS)), None)
        for name in fragment.split("/")[1:] if fragment.startswith("/") else ():
            found = _member(found, name.replace("~1", "/").replace("~0", "~"))
        return found if isinstance(found, dict | bool) else None

    def targets(self, schema: Schema) -> list[Schema]:
        """What the references of a schema lead to, those left out that its draft does not know."""
        known = {"$ref"} | {name for name, draft in DRAFT_OF.items() if draft == self.dialect}
        found = [self.find(text) for name, text in references(schema).items() if name in known]
        return [target for target in found if target is not None]


def references(schema: Schema) -> dict[str, str]:
    """Keyword → where it leads."""
    if not isinstance(schema, dict):
        return {}
    return {name: schema[name] for name in REFERENCES if isinstance(schema.get(name), str)}


def _member(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return value.get(name)
    if isinstance(value, list) and name.isdecimal() and name.isascii() and int(name[:9]) < len(value):
        return value[int(name[:9])]
    return None
