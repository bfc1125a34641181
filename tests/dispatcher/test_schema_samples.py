"""Samples: made from a schema, always the same, and never one that does not fit."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.schemas.checker import Checker, schema_faults
from dispatcher.schemas.patterns import Unreadable, fitting
from dispatcher.schemas.samples import make_sample

DRAFT_4 = "http://json-schema.org/draft-04/schema#"
DRAFT_7 = "http://json-schema.org/draft-07/schema#"
TREE = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "left": {"$ref": "#"},
        "leaves": {"type": "array", "items": {"$ref": "#"}},
    },
    "required": ["name"],
}
ENDLESS = {"type": "object", "required": ["next"], "properties": {"next": {"$ref": "#"}}}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"const": {"a": 1}}, {"a": 1}),
        ({"const": None}, None),
        ({"enum": ["x", "y"]}, "x"),
        ({"type": "string", "enum": [1, "y"]}, "y"),
        ({"type": "integer", "default": 7, "examples": [8]}, 7),
        ({"type": "integer", "default": "seven", "examples": [8]}, 8),
        ({"type": "string"}, "text"),
        ({"type": ["null", "integer"], "minimum": 5}, 5),
        ({"type": "integer", "minimum": 2, "maximum": 2}, 2),
        ({"type": "integer", "multipleOf": 7, "minimum": 15}, 21),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 0.5}, 0.03125),
        ({"type": "number", "multipleOf": 0.01, "minimum": 5.001}, 5.01),
        ({"$schema": DRAFT_4, "type": "integer", "minimum": 5, "exclusiveMinimum": True}, 6),
        ({"type": "string", "minLength": 6}, "textxx"),
        ({"type": "string", "format": "date-time"}, "2026-01-31T12:00:00Z"),
        ({"type": "string", "format": "email"}, "jane@example.com"),
        ({"type": "string", "format": "ipv6"}, "2001:db8::1"),
        ({"type": "string", "pattern": "^[A-Z]{2}\\d{2}-(ab|cd)+$"}, "AA00-ab"),
        ({"type": "string", "pattern": "^acc_[a-z0-9]+$", "minLength": 10}, "acc_a00000"),
        ({"type": "boolean"}, True),
        ({"type": "array", "items": {"type": "integer"}}, [1]),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": True}, [1, 2, 3]),
        ({"type": "array", "prefixItems": [{"const": 1}, {"type": "string"}], "items": False}, [1, "text"]),
        ({"type": "array", "contains": {"const": 5}}, [5]),
        ({"type": "array", "maxItems": 0}, []),
        ({"type": "object", "required": ["a"], "properties": {"b": {"type": "integer"}}}, {"b": 1, "a": {}}),
        ({"type": "object", "properties": {"a": {"const": 1}, "b": False}}, {"a": 1}),
        ({"type": "object", "properties": {"a": {}, "b": {}}, "maxProperties": 1, "required": ["b"]}, {"b": {}}),
        ({"allOf": [{"properties": {"a": {"minimum": 3}}}, {"properties": {"a": {"type": "integer"}}}]}, {"a": 3}),
        (
            {"properties": {"a": {"const": 1}, "b": {"const": 2}}, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {"a": 1},
        ),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, 1.5),
        (
            {
                "if": {"required": ["k"]},
                "then": {"properties": {"k": {"const": "a"}}},
                "properties": {"k": {"type": "string"}},
            },
            {"k": "a"},
        ),
        ({"type": "object", "properties": {"a": {"$ref": "#/$defs/a~1b"}}, "$defs": {"a/b": {"const": 1}}}, {"a": 1}),
        ({"$schema": DRAFT_7, "$ref": "#/definitions/a", "definitions": {"a": {"type": "integer"}}}, 1),
        (TREE, {"name": "text", "left": {"name": "text", "leaves": []}, "leaves": [{"name": "text", "leaves": []}]}),
        (
            {"required": ["n"], "properties": {"n": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}},
            {"n": {"n": {"n": None}}},
        ),
        ({}, {}),
        (True, {}),
    ],
)
def test_what_is_made(schema: Any, expected: Any) -> None:
    assert schema_faults(schema) == []
    made = make_sample(schema)
    assert made is not None
    assert repr(made.value) == repr(expected)
    assert Checker(schema).fits(made.value)


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"type": "string", "pattern": "^\\p{L}+$"},
        {"type": "string", "const": 5},
        {"type": "array", "items": {"enum": [1, 2]}, "minItems": 3, "uniqueItems": True},
        {"type": "integer", "minimum": 5, "maximum": 4},
        ENDLESS,
        {"allOf": [{"type": "string"}, {"type": "integer"}]},
        {"type": "string", "minLength": 10**9},
        {"type": "array", "minItems": 10**9},
        {"$ref": "http://127.0.0.1/"},
        {"type": "strnig"},
    ],
)
def test_none_rather_than_a_wrong_one(schema: Any) -> None:
    assert make_sample(schema) is None


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("", ""),
        ("^a|b$", "a"),
        ("[^a-z]", "A"),
        ("\\w\\s\\D.", "a aa"),
        ("(?:ab){2}c?", "abab"),
        ("(?P<year>\\d{4})-\\d{2}", "0000-00"),
        ("a{2,}b*", "aa"),
        ("[\\]\\-]", "]"),
        ("\\.\\/", "./"),
    ],
)
def test_simple_patterns(pattern: str, expected: str) -> None:
    assert fitting(pattern) == expected


@pytest.mark.parametrize("pattern", ["(", "[", "*", "(?=a)", "\\p{L}", "a{x}", "a)", "\\", "(?<n", "a{99999999}"])
def test_patterns_that_are_not_read(pattern: str) -> None:
    with pytest.raises(Unreadable):
        fitting(pattern)


names = st.sampled_from(["a", "b", "c"])
leaves = st.one_of(
    st.builds(
        lambda low, gap: {"type": "integer", "minimum": low, "maximum": low + gap},
        st.integers(-99, 99),
        st.integers(0, 9),
    ),
    st.builds(lambda low: {"type": "number", "exclusiveMinimum": low}, st.floats(-99, 99)),
    st.builds(lambda step: {"type": "integer", "multipleOf": step}, st.integers(1, 99)),
    st.builds(
        lambda low, gap: {"type": "string", "minLength": low, "maxLength": low + gap},
        st.integers(0, 40),
        st.integers(0, 9),
    ),
    st.sampled_from(["date-time", "date", "email", "uri", "uuid", "ipv4", "ipv6", "hostname", "time"]).map(
        lambda name: {"type": "string", "format": name}
    ),
    st.sampled_from(["^[a-z]+$", "^\\d{3,5}$", "^(x|y)-[A-F0-9]*$"]).map(
        lambda text: {"type": "string", "pattern": text}
    ),
    st.lists(st.integers() | st.text(), min_size=1, max_size=3).map(lambda values: {"enum": values}),
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {}, True]),
)
schemas = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(
            lambda members, required: {"type": "object", "properties": members, "required": required},
            st.dictionaries(names, inner, max_size=3),
            st.lists(names, unique=True),
        ),
        st.builds(lambda item, least: {"type": "array", "items": item, "minItems": least}, inner, st.integers(0, 3)),
        inner.map(lambda one: {"allOf": [one]}),
        st.lists(inner, min_size=1, max_size=3).map(lambda some: {"anyOf": some}),
        inner.map(lambda one: {"$defs": {"x": one}, **(one if isinstance(one, dict) else {})}),
    ),
    max_leaves=8,
)


@given(schemas)
def test_simple_schemas_always_have_one_that_fits(schema: Any) -> None:
    made = make_sample(schema)
    assert made is not None
    assert Checker(schema).fits(made.value)
    assert make_sample(schema) == made
