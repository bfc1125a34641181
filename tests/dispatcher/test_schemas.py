"""Schemas: which are taken; nothing is fetched for them, no check takes long, and misfits are told where."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema_rs import ValidationError

from dispatcher.schemas.checker import MAX_SCHEMA_BYTES, Checker, compile_schema, schema_faults
from dispatcher.schemas.mismatches import MOST_MISMATCHES, mismatches

DRAFT_7 = "http://json-schema.org/draft-07/schema#"
DRAFT_4 = "http://json-schema.org/draft-04/schema#"


def codes(schema: Any) -> dict[str, str]:
    return {fault.pointer: fault.code for fault in schema_faults(schema)}


def told(schema: Any, value: Any) -> dict[str, str]:
    assert not Checker(schema).fits(value)
    return {one.pointer: one.message for one in mismatches(schema, value)}


def nested(depth: int, inmost: Any = 1) -> Any:
    value: Any = inmost
    for _ in range(depth):
        value = {"a": value}
    return value


class Canary:
    """Listens, and remembers whether anybody came."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(0.2)
        self.callers = 0
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/schema.json"
        self._is_over = False
        self._thread = Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while not self._is_over:
            try:
                caller, _ = self._socket.accept()
            except TimeoutError:
                continue
            self.callers += 1
            caller.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
            caller.close()

    def close(self) -> None:
        self._is_over = True
        self._thread.join(5)
        self._socket.close()


@pytest.fixture
def canary() -> Iterator[Canary]:
    made = Canary()
    yield made
    made.close()


class TestNothingIsFetched:
    def test_the_canary_sings_when_somebody_comes(self, canary: Canary) -> None:
        with socket.create_connection(("127.0.0.1", canary.port)) as caller:
            caller.recv(1)
        assert canary.callers == 1

    def test_http(self, canary: Canary) -> None:
        for schema, code in (
            ({"$ref": canary.url}, "remote_reference"),
            ({"properties": {"a": {"items": {"$ref": canary.url}}}}, "remote_reference"),
            ({"$defs": {"unused": {"$ref": canary.url}}}, "remote_reference"),
            ({"$id": canary.url, "$ref": "other.json"}, "remote_reference"),
            ({"$dynamicRef": canary.url}, "remote_reference"),
            ({"$schema": canary.url}, "unknown_dialect"),
            ({"$ref": "#/x", "x": {"$ref": canary.url}}, "remote_reference"),
            ({"properties": {"a": {"$schema": canary.url}}}, "nested_schema"),
            ({"properties": {"a": {"$id": canary.url}}}, "nested_schema"),
        ):
            assert set(codes(schema).values()) == {code}, schema
            with pytest.raises(ValidationError):  # even if our own look at references missed one
                compile_schema(schema if code == "remote_reference" else {"$ref": canary.url})
        assert canary.callers == 0

    def test_files(self, tmp_path: Path) -> None:
        """A file that would make the schema a good one is not read."""
        (tmp_path / "a.json").write_text('{"type": "string"}')
        schema = {"$ref": (tmp_path / "a.json").as_uri()}
        assert codes(schema) == {"/$ref": "remote_reference"}
        assert "Nothing is fetched" in schema_faults(schema)[0].message
        with pytest.raises(ValidationError):
            compile_schema(schema)


class TestTaken:
    @pytest.mark.parametrize(
        "schema",
        [
            True,
            {},
            {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"type": "string"}}},
            {"$schema": DRAFT_7, "definitions": {"a": {"type": "string"}}, "$ref": "#/definitions/a"},
            {"$schema": DRAFT_4, "minimum": 1, "exclusiveMinimum": True},
            {"$id": "https://example.com/a.json", "properties": {"a": {"$ref": "#"}}},
            {"$anchor": "x", "properties": {"a": {"$ref": "#x"}}},
            {"properties": {"$ref": {"type": "string"}, "$id": {"const": "a"}}},  # names of members, not keywords
            {"const": {"$ref": "http://127.0.0.1/"}},  # a value, not a schema
            {"$ref": "#/components/schemas/a", "components": {"schemas": {"a": {"type": "null"}}}},
            {"properties": {"a": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}}},
            {"pattern": "^.{1,140}$"},
            {"allOf": [{"pattern": "a"}] * 8},
            {"properties": {f"p{n}": {"pattern": "^a+$"} for n in range(500)}},
            {"properties": {f"p{n}": {"properties": {f"q{m}": {} for m in range(20)}} for n in range(100)}},
        ],
    )
    def test_sound_schemas(self, schema: Any) -> None:
        assert codes(schema) == {}

    @pytest.mark.parametrize(
        ("schema", "expected"),
        [
            (5, {"": "wrong_type"}),
            ([], {"": "wrong_type"}),
            ({"type": "strnig"}, {"/type": "invalid_schema"}),
            ({"properties": {"a/b": {"minLength": -1}}}, {"/properties/a~1b/minLength": "invalid_schema"}),
            ({"$schema": "http://json-schema.org/draft-03/schema#"}, {"/$schema": "unknown_dialect"}),
            ({"$schema": 5}, {"/$schema": "unknown_dialect"}),
            ({"pattern": "(?=a)"}, {"/pattern": "invalid_pattern"}),
            ({"pattern": "(a)\\1"}, {"/pattern": "invalid_pattern"}),
            ({"pattern": "("}, {"/pattern": "invalid_pattern"}),
            ({"items": {"pattern": "(a{1000}){1000}"}}, {"/items/pattern": "invalid_pattern"}),
            ({"$ref": "#/$defs/none"}, {"/$ref": "unknown_reference"}),
            ({"$ref": "#none"}, {"/$ref": "unknown_reference"}),
            ({"$ref": "#"}, {"": "too_much_work"}),
            ({"description": "x" * MAX_SCHEMA_BYTES}, {"": "schema_too_large"}),
            ({"allOf": [{"pattern": "a"}] * 9}, {"": "too_much_work"}),
        ],
    )
    def test_others_are_refused(self, schema: Any, expected: dict[str, str]) -> None:
        assert codes(schema) == expected

    json_values = st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "a", "#", "#/a", "#a", "object", "("]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        *("$ref", "$id", "$schema", "$anchor", "$dynamicRef", "a", "type", "enum", "properties"),
                        *("items", "allOf", "anyOf", "not", "if", "required", "pattern", "minimum", "$defs"),
                        *("dependencies", "prefixItems", "patternProperties", "additionalProperties", "contains"),
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=20,
    )

    @given(json_values)
    def test_whatever_is_sent_is_taken_or_refused(self, schema: Any) -> None:
        if not schema_faults(schema):
            checker = Checker(schema)
            values: list[Any] = [None, {}, [], "a", 1, {"a": [{"a": 1}]}]
            for value in values:
                if not checker.fits(value):
                    assert mismatches(schema, value)


def doubling(*, is_nested: bool) -> dict[str, Any]:
    """Each of 24 definitions asks for the next one twice: 16 million ways to the last."""
    twice = [{"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(24)]
    defs: dict[str, Any] = {f"d{n}": {"properties": {"a": two}} if is_nested else two for n, two in enumerate(twice)}
    return {"$defs": {**defs, "d24": {"minimum": 0}}, "$ref": "#/$defs/d0"}


class TestBoundedWork:
    @pytest.mark.parametrize("is_nested", [False, True])
    def test_doubling_references_are_refused(self, is_nested: bool) -> None:
        assert codes(doubling(is_nested=is_nested)) == {"": "too_much_work"}

    def test_a_chain_that_would_break_recursion_is_refused(self) -> None:
        defs: dict[str, Any] = {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(1500)}
        assert codes({"$defs": {**defs, "d1500": {}}, "$ref": "#/$defs/d0"}) == {"": "too_much_work"}

    @pytest.mark.parametrize(
        ("schema", "value", "fits"),
        [
            ({"pattern": "^(a+)+$"}, "a" * 250_000 + "b", False),
            ({"pattern": "(x+x+)+y"}, "x" * 250_000, False),
            ({"propertyNames": {"pattern": "^(a|a)*$"}}, {"a" * 200_000 + "b": 1}, False),
            ({"uniqueItems": True}, [*range(65_000)], True),
            ({"uniqueItems": True}, [{"a": [n]} for n in range(20_000)], True),
            ({"properties": {"a": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}}, "minimum": 0}, nested(60), True),
            ({"properties": {"a": {"oneOf": [{"$ref": "#"}, {"$ref": "#", "required": ["z"]}]}}}, nested(60), False),
            ({"items": {"enum": [f"n{n}" for n in range(1000)]}}, ["n999"] * 40_000, True),
        ],
    )
    def test_hostile_checks_end_within_a_second(self, schema: Any, value: Any, fits: bool) -> None:
        """Measured at 0.1 to 10 ms. A backtracking engine, or a list compared item by item, would take hours."""
        assert codes(schema) == {}
        checker = Checker(schema)
        began = time.perf_counter()
        assert checker.fits(value) is fits
        assert time.perf_counter() - began < 1

    @pytest.mark.parametrize(
        ("schema", "value"),
        [
            ({"items": {"enum": [{"a": n} for n in range(300)]}}, [{"a": -1}] * 20_000),
            ({"items": {"type": "string"}}, [*range(40_000)]),
            ({"required": [f"n{n}" for n in range(1000)]}, {"a": ["x" * 10] * 20_000}),
            ({"properties": {"a": {"oneOf": [{"$ref": "#"}, {"$ref": "#"}]}}, "minimum": 0}, nested(60)),
        ],
    )
    def test_so_does_the_search_for_reasons(self, schema: Any, value: Any) -> None:
        assert codes(schema) == {}
        began = time.perf_counter()
        found = mismatches(schema, value)
        assert time.perf_counter() - began < 1
        assert 1 <= len(found) <= MOST_MISMATCHES


MONEY = {
    "type": "object",
    "properties": {"value": {"type": "integer", "minimum": 0}, "currency": {"enum": ["EUR", "USD"]}},
    "required": ["value"],
}
ORDER = {
    "type": "object",
    "required": ["id", "amount"],
    "properties": {
        "id": {"type": "string"},
        "amount": {"$ref": "#/$defs/money"},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/money"}},
    },
    "additionalProperties": False,
    "$defs": {"money": MONEY},
}


class TestReasons:
    @pytest.mark.parametrize(
        ("schema", "value", "expected"),
        [
            (ORDER, {}, {"/id": "The schema asks for this member.", "/amount": "The schema asks for this member."}),
            (ORDER, [], {"": 'The schema asks for type "object".'}),
            (
                ORDER,
                {"id": 5, "amount": {"value": -1, "currency": "XXX"}, "a/b": 1},
                {
                    "/id": 'The schema asks for type "string".',
                    "/amount/value": "The schema asks for minimum 0.",
                    "/amount/currency": 'The schema asks for enum ["EUR", "USD"].',
                    "/a~1b": "The schema has no such member.",
                },
            ),
            (
                ORDER,
                {"id": "", "amount": {"value": 1}, "lines": [{"value": 1}, {"value": 1.5}]},
                {"/lines/1/value": 'The schema asks for type "integer".'},
            ),
            (
                {"oneOf": [{"type": "string"}, {"required": ["x"]}]},
                {},
                {"": "This fits none of the 2 alternatives of oneOf."},
            ),
            ({"not": {}}, 1, {"": "This does not fit the schema."}),
            (False, 1, {"": "The schema allows nothing here."}),
            (
                {"$schema": DRAFT_4, "minimum": 1, "exclusiveMinimum": True},
                1,
                {"": "The schema asks for minimum 1 and exclusiveMinimum true."},
            ),
            (
                {"$schema": DRAFT_7, "$ref": "#/definitions/a", "minimum": 5, "definitions": {"a": {"maximum": 1}}},
                2,
                {"": "The schema asks for maximum 1."},
            ),
            ({"format": "date-time"}, "yesterday", {"": 'The schema asks for format "date-time".'}),
        ],
    )
    def test_each_is_true_and_has_its_place(self, schema: Any, value: Any, expected: dict[str, str]) -> None:
        assert told(schema, value) == expected

    def test_nothing_of_the_payload_is_repeated(self) -> None:
        secret = "4111111111111111"
        found = told(
            {"properties": {"card": {"maxLength": 4}, "n": {"type": "string"}}},
            {"card": secret, "n": secret * 2, "x": 1} | {"n": int(secret)},
        )
        assert set(found) == {"/card", "/n"}
        assert secret not in str(found)

    def test_sentences_and_pointers_stay_short(self) -> None:
        found = told({"additionalProperties": {"enum": ["b" * 5_000]}}, {"a" * 100_000: "c"})
        assert [(pointer, len(message) < 200) for pointer, message in found.items()] == [("", True)]
