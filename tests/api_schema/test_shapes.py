"""What a check tells of itself as JSON Schema is what it takes: neither more nor less."""

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from config.api.openapi.schemas import request
from subscriptions.services import shapes

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 9)
    | st.floats(-3, 9)
    | TEXTS
    | st.sampled_from(["a", "b", "\n", "\x7f"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=6,
)
LINE = shapes.line(least=1, most=3)
WHOLE = shapes.whole(least=1, most=5)
CHECKS = {
    "line": LINE,
    "prose": shapes.prose(most=3),
    "choice": shapes.choice(["a", "b"]),
    "whole": WHOLE,
    "boolean": shapes.boolean,
    "anything": shapes.anything,
    "object": shapes.json_object,
    "nullable": shapes.nullable(WHOLE),
    "nullable anything": shapes.nullable(shapes.anything),
    "list": shapes.list_of(WHOLE, least=1, most=2),
    "nullable list": shapes.nullable(shapes.list_of(LINE, most=2)),
    "map": shapes.map_of(LINE, LINE, most=2),
}


def takes(check: shapes.Check, value: Any) -> bool:
    try:
        check(value)
    except shapes.Wrong:
        return False
    return True


@pytest.mark.parametrize("name", CHECKS)
@settings(deadline=None)
@given(value=VALUES)
@example(value="abc\n")
@example(value=5.0)
@example(value={"a": "b", "c": ""})
def test_schema_and_check_agree(name: str, value: Any) -> None:
    check = CHECKS[name]
    schema = shapes.schema_of(check)
    assert schema is not None
    assert jsonschema_rs.is_valid(schema, value) == takes(check, value)


def test_a_shape_becomes_an_object_that_takes_no_other_member() -> None:
    schema = request({"a": WHOLE, "b": LINE}, required=("a",), say={"b": "A line."})
    assert schema["properties"]["b"]["description"] == "A line."
    assert jsonschema_rs.is_valid(schema, {"a": 1})
    assert not jsonschema_rs.is_valid(schema, {"b": "x"})
    assert not jsonschema_rs.is_valid(schema, {"a": 1, "c": 1})


def test_a_check_that_does_not_tell_its_rule_has_to_be_described() -> None:
    def check(value: Any) -> Any:
        return value

    with pytest.raises(LookupError, match="the check of a does not tell its rule"):
        request({"a": check})
    assert request({"a": check}, instead={"a": {"type": "null"}})["properties"] == {"a": {"type": "null"}}


def test_words_about_a_member_that_is_gone_are_noticed() -> None:
    with pytest.raises(LookupError, match="no such members: b"):
        request({"a": WHOLE}, say={"b": "Gone."})
