"""A JSON Schema as a tree to read: each member with its type, whether it must be there, and what it may be."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dispatcher.schemas.document import Document, Schema
from dispatcher.schemas.merging import Merged, merge, types_of

MOST_NODES = 600
# Of one tree. What comes after is said to be left out; the schema itself stands below the tree.
MOST_DEPTH = 12
MOST_OPTIONS = 40
_ARTICLE = {"array": "list", "object": "object", "null": "null"}
_SIGNS = (("properties", "object"), ("additionalProperties", "object"), ("items", "array"), ("prefixItems", "array"))
# What tells of a type where none is named.
_LIMITS = (
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("minimum", "at least {}"),
    ("exclusiveMinimum", "more than {}"),
    ("maximum", "at most {}"),
    ("exclusiveMaximum", "less than {}"),
    ("multipleOf", "a multiple of {}"),
    ("minItems", "at least {} items"),
    ("maxItems", "at most {} items"),
)


@dataclass(frozen=True, slots=True)
class Node:
    """One member. `kind` is its type in words, `facts` its limits, `options` what it must be one of."""

    name: str
    kind: str
    is_required: bool = False
    description: str = ""
    facts: Sequence[str] = ()
    options: Sequence[str] = ()
    children: Sequence["Node"] = ()


def read(schema: Schema) -> Node:
    """The tree of a schema that is valid. References lead only to places in the schema itself; one that stands inside
    itself is shown once."""
    return _Reader(schema).node("", schema, is_required=True, path=())


class _Reader:
    def __init__(self, root: Schema) -> None:
        self._document = Document(root)
        self._left = MOST_NODES

    def node(self, name: str, schema: Schema, *, is_required: bool, path: tuple[int, ...]) -> Node:
        self._left -= 1
        if schema is False:
            return Node(name, "nothing", is_required)
        try:
            whole, inner = self._whole(schema, path)
        except _Circle:
            return Node(name, "the same again, as above", is_required, _text(schema, "description"))
        children = list(self._children(whole, inner))
        return Node(
            name, _kind(whole), is_required, _text(whole, "description"), _facts(whole), _options(whole), children
        )

    def _whole(self, schema: Schema, path: tuple[int, ...]) -> tuple[Merged, tuple[int, ...]]:
        """The schema with what it refers to and all that holds for the same value; and what was come through."""
        if not isinstance(schema, dict):
            return {}, path
        own = {keyword: value for keyword, value in schema.items() if keyword not in ("$ref", "allOf")}
        whole, inner = own, path
        for target in self._document.targets(schema):
            if id(target) in path:
                raise _Circle
            part, further = self._whole(target, (*path, id(target)))
            whole, inner = merge(whole, part), (*inner, *further)
        for one in schema.get("allOf", ()):
            part, further = self._whole(one, path)
            whole, inner = merge(whole, part), (*inner, *further)
        return self._without_null(whole, inner)

    def _without_null(self, whole: Merged, path: tuple[int, ...]) -> tuple[Merged, tuple[int, ...]]:
        """`anyOf: [X, null]` is how most write that X may be null."""
        for keyword in ("anyOf", "oneOf"):
            parts = whole.get(keyword, [])
            others = [part for part in parts if part != {"type": "null"}]
            if len(others) == 1 and len(parts) > 1:
                rest = {name: value for name, value in whole.items() if name != keyword}
                inner, further = self._whole({"allOf": others}, path)
                return {**merge(rest, inner), _OR_NULL: True}, further
        return whole, path

    def _children(self, whole: Merged, path: tuple[int, ...]) -> Iterator[Node]:
        for name, schema, must in [*_members(whole), *_parts(whole)]:
            if self._left <= 0 or path.count(_STEP) >= MOST_DEPTH:
                yield Node("…", "more than is shown here")
                return
            yield self.node(name, schema, is_required=must, path=(*path, _STEP))


class _Circle(Exception):
    """A reference leads back to where it came from."""


_OR_NULL = "or null"
# Among the keywords of a merged schema; no keyword has a space.
_STEP = 0
# In a path: one level down without a reference. No object has this id.


def _members(whole: Merged) -> Iterator[tuple[str, Schema, bool]]:
    required = whole.get("required", ())
    for name, schema in whole.get("properties", {}).items():
        yield name, schema, name in required
    for pattern, schema in whole.get("patternProperties", {}).items():
        yield f"names like {pattern}", schema, False
    others = whole.get("additionalProperties")
    if isinstance(others, dict) and others:
        yield "any other name", others, False


def _parts(whole: Merged) -> Iterator[tuple[str, Schema, bool]]:
    for number, schema in enumerate(whole.get("prefixItems", ()), start=1):
        yield f"item {number}", schema, False
    items = whole.get("items")
    if isinstance(items, dict) and not _is_plain(items):
        yield "each item", items, False
    for keyword in ("oneOf", "anyOf"):
        for number, schema in enumerate(whole.get(keyword, ()), start=1):
            yield f"either {number}", schema, False


def _is_plain(schema: Mapping[str, Any]) -> bool:
    """Whether its type says everything."""
    return set(schema) <= {"type"} and isinstance(schema.get("type"), str)


def _kind(whole: Merged) -> str:
    named = [str(one) for one in types_of(whole["type"])] if "type" in whole else _guess(whole)
    words = [_list_of(whole) if one == "array" else _ARTICLE.get(one, one) for one in named]
    if whole.get("format"):
        words = [str(whole["format"]) if one == "string" else one for one in words]
    kind = " or ".join(words) or "anything"
    return f"{kind} or null" if _OR_NULL in whole else kind


def _list_of(whole: Merged) -> str:
    items = whole.get("items")
    inner = items.get("type") if isinstance(items, dict) else None
    return f"list of {inner}s" if isinstance(inner, str) and inner != "null" else "list"


def _guess(whole: Merged) -> list[str]:
    if "const" in whole or "enum" in whole:
        kinds = {bool: "boolean", str: "string", int: "integer", float: "number", type(None): "null"}
        values = whole.get("enum", [whole.get("const")])
        return list(dict.fromkeys(kinds.get(type(value), "") for value in values)) if values else []
    return next(([kind] for keyword, kind in _SIGNS if keyword in whole), [])


def _facts(whole: Merged) -> list[str]:
    facts = [words.format(whole[keyword]) for keyword, words in _LIMITS if keyword in whole]
    if whole.get("minLength") == 1:
        facts.remove("at least 1 characters")
        facts.insert(0, "not empty")
    if "pattern" in whole:
        facts.append(f"matches {whole['pattern']}")
    if "default" in whole:
        facts.append(f"{_json(whole['default'])} if absent")
    if whole.get("additionalProperties") is False:
        facts.append("no other members")
    if whole.get("deprecated") is True:
        facts.append("deprecated")
    return facts


def _options(whole: Merged) -> list[str]:
    options = [whole["const"]] if "const" in whole else whole.get("enum", [])
    shown = [_json(option) for option in options[:MOST_OPTIONS]]
    return shown + ([f"and {len(options) - MOST_OPTIONS} more"] if len(options) > MOST_OPTIONS else [])


def _text(schema: Schema, keyword: str) -> str:
    value = schema.get(keyword, "") if isinstance(schema, dict) else ""
    return value if isinstance(value, str) else ""


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
