"""Bytes from outside as text: laid out without a change, binary told from text, every reason with its words."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deliveries.admin.bodies import HEX_BYTES, TEXT_CHARACTERS, pretty, read_body
from deliveries.admin.reasons import GROUPS
from dispatcher.outcomes import Reason
from dispatcher.words import WORDS


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=20,
    ).filter(lambda value: isinstance(value, list | dict))
)
def test_layout_changes_nothing_but_spaces(value: Any) -> None:
    assert pretty(json.dumps(value)) == json.dumps(value, indent=2)


@pytest.mark.parametrize("text", ["", "OK", '"a"', "]", "[", "[" * 65 + "]" * 65])
def test_what_is_no_json_object_or_array_stays_as_it_is(text: str) -> None:
    assert pretty(text) is None


def test_a_text_that_was_cut_in_a_character_is_still_a_text() -> None:
    assert read_body("añ".encode()[:-1]).text == "a"
    assert read_body(b"a\xff").is_binary
    assert read_body(None).size == 0


def test_every_reason_has_its_words() -> None:
    assert set(WORDS) == set(Reason)
    assert {reason for group in GROUPS.values() for reason in group} <= set(Reason)


def test_long_bodies_are_cut() -> None:
    text = read_body(b"[" + b"1," * TEXT_CHARACTERS)
    assert (len(text.text), text.is_cut, text.pretty) == (TEXT_CHARACTERS, True, None)
    binary = read_body(bytes(HEX_BYTES + 1))
    assert (binary.is_cut, binary.text.count("\n")) == (True, HEX_BYTES // 16 - 1)
