"""A schema as people read it."""

from typing import Any

import pytest

from subscriptions.portal.schema_tree import MOST_DEPTH, MOST_NODES, Node, read


def told(node: Node) -> dict[str, str]:
    return {child.name: child.kind for child in node.children}


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"type": "string"}, "string"),
        ({"type": ["string", "null"]}, "string or null"),
        ({"type": "string", "format": "date-time"}, "date-time"),
        ({"type": "array", "items": {"type": "integer"}}, "list of integers"),
        ({"type": "array"}, "list"),
        ({"enum": ["a", 1]}, "string or integer"),
        ({"const": True}, "boolean"),
        ({"properties": {}}, "object"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string or null"),
        ({"$defs": {"a": {"type": "number"}}, "oneOf": [{"type": "null"}, {"$ref": "#/$defs/a"}]}, "number or null"),
        ({"allOf": [{"type": "integer"}, {"minimum": 3}]}, "integer"),
        ({}, "anything"),
        (True, "anything"),
        (False, "nothing"),
    ],
)
def test_kinds(schema: Any, kind: str) -> None:
    assert read(schema).kind == kind


def test_members_with_what_they_may_be() -> None:
    schema = {
        "type": "object",
        "required": ["id"],
        "additionalProperties": False,
        "properties": {
            "id": {"type": "string", "minLength": 1, "maxLength": 8, "pattern": "^a", "description": "Which one."},
            "size": {"type": "integer", "minimum": 0, "exclusiveMaximum": 10, "default": 5},
            "state": {"enum": ["on", None]},
            "kind": {"const": "x"},
        },
    }
    tree = read(schema)
    identity, size, state, kind = tree.children
    assert tree.facts == ["no other members"]
    assert identity == Node(
        "id", "string", True, "Which one.", ["not empty", "at most 8 characters", "matches ^a"], [], []
    )
    assert (size.is_required, size.facts) == (False, ["at least 0", "less than 10", "5 if absent"])
    assert (state.options, kind.options) == (['"on"', "null"], ['"x"'])


def test_references_lead_to_places_in_the_schema_itself() -> None:
    schema = {
        "$defs": {"money": {"type": "object", "properties": {"amount": {"type": "string"}}, "required": ["amount"]}},
        "properties": {
            "price": {"$ref": "#/$defs/money", "description": "With tax."},
            "lines": {"type": "array", "items": {"$ref": "#/$defs/money"}},
            "far": {"$ref": "https://elsewhere.example/schema"},
            "file": {"$ref": "file:///etc/passwd"},
        },
    }
    price, lines, far, file = read(schema).children
    assert (price.kind, price.description, told(price)) == ("object", "With tax.", {"amount": "string"})
    assert told(lines.children[0]) == {"amount": "string"}
    assert (far.kind, file.kind) == ("anything", "anything")


def test_circles_are_cut() -> None:
    schema = {
        "$defs": {"node": {"properties": {"name": {"type": "string"}, "next": {"$ref": "#/$defs/node"}}}},
        "$ref": "#/$defs/node",
    }
    name, following = read(schema).children
    assert (name.kind, following.kind) == ("string", "the same again, as above")
    assert read({"$ref": "#"}).kind == "the same again, as above"
    assert count(read({"properties": {"me": {"$ref": "#"}}})) == 3


def test_lists_and_alternatives_have_their_parts_below() -> None:
    schema = {
        "properties": {
            "list": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string"}}}},
            "pair": {"prefixItems": [{"type": "string"}, {"type": "integer"}]},
            "either": {"oneOf": [{"type": "string"}, {"type": "object", "properties": {"b": {"type": "null"}}}]},
            "map": {"additionalProperties": {"type": "number"}, "patternProperties": {"^x-": {"type": "string"}}},
        }
    }
    each, pair, either, names = read(schema).children
    assert told(each) == {"each item": "object"}
    assert told(pair) == {"item 1": "string", "item 2": "integer"}
    assert told(either) == {"either 1": "string", "either 2": "object"}
    assert told(names) == {"names like ^x-": "string", "any other name": "number"}


def count(node: Node) -> int:
    return 1 + sum(map(count, node.children))


def depth(node: Node) -> int:
    return 1 + max(map(depth, node.children), default=0)


def test_what_is_huge_is_cut_and_says_so() -> None:
    wide = read({"properties": {f"m{n}": {"type": "string"} for n in range(5000)}})
    assert count(wide) == MOST_NODES + 1
    assert wide.children[-1] == Node("…", "more than is shown here")
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(200):
        deep = {"properties": {"a": deep}}
    assert depth(read(deep)) == MOST_DEPTH + 2
    # Two references each to the level below: 2^40 members if they were followed.
    levels = {f"l{n}": {"properties": {side: {"$ref": f"#/$defs/l{n + 1}"} for side in "ab"}} for n in range(40)}
    assert count(read({"$defs": levels, "$ref": "#/$defs/l0"})) < 3 * MOST_NODES
