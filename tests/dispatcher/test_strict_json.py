"""check_json takes every JSON that can be kept and read again, and nothing else."""

import json
import tracemalloc
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.strict_json import MAX_DEPTH, MAX_NUMBER_CHARACTERS, UnreadableJson, check_json

REFUSED = {
    b"": "invalid_json",
    b" ": "invalid_json",
    b"[": "invalid_json",
    b"[1,]": "invalid_json",
    b"{'a': 1}": "invalid_json",
    b"01": "invalid_json",
    b"+1": "invalid_json",
    b".5": "invalid_json",
    b"1 2": "invalid_json",
    b'"\t"': "invalid_json",
    b'"\x00"': "invalid_json",
    b'"\\x"': "invalid_json",
    b"\x0c1": "invalid_json",
    b"\xc2\xa01": "invalid_json",
    "\uff11".encode(): "invalid_json",
    b"NaN": "invalid_json",
    b"[Infinity]": "invalid_json",
    b'{"a": -Infinity}': "invalid_json",
    b"\xef\xbb\xbf{}": "byte_order_mark",
    b"\xff\xfe1\x00": "invalid_utf8",
    b'"\xed\xa0\x80"': "invalid_utf8",
    b'"\xc0\x80"': "invalid_utf8",
    b"1e999": "number_out_of_range",
    b"[-1e999]": "number_out_of_range",
    b"1" * 5_000: "number_out_of_range",
    b"-" + b"1" * 5_000: "number_out_of_range",
    b"0." + b"1" * 5_000: "number_out_of_range",
    b'"\\u0000"': "nul_character",
    b'"\\\\\\u0000"': "nul_character",
    b'{"\\u0000": 1}': "nul_character",
    b'"\\ud800"': "lone_surrogate",
    b'"\\uDC00"': "lone_surrogate",
    b'"\\udc00\\ud800"': "lone_surrogate",
    b'{"\\ud800": 1}': "lone_surrogate",
    b'{"a": 1, "a": 1}': "duplicate_key",
    b'{"a": 1, "\\u0061": 2}': "duplicate_key",
    b'[{"b": {"a": 1, "a": 2}}]': "duplicate_key",
    b"[" * 100_000: "too_deep",
    b"[" * 100_000 + b"]" * 100_000: "too_deep",
    b'{"a":' * 100_000 + b"1" + b"}" * 100_000: "too_deep",
    b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1): "too_deep",
    b'[{"a":' * (MAX_DEPTH // 2) + b"[]" + b"}]" * (MAX_DEPTH // 2): "too_deep",
}
TAKEN = [
    b"null",
    b" \n\r\t1 ",
    b"1e308",
    b"1e-999",
    b"-0.0",
    b"1" * MAX_NUMBER_CHARACTERS,
    b'"\\\\u0000"',
    b'"\\ud83d\\ude00"',
    b'"\\u00e9"',
    b'"' + b"[{" * 1_000 + b'"',
    b'"\\"' + b"[{" * 1_000 + b'\\\\"',
    b"[" * MAX_DEPTH + b"]" * MAX_DEPTH,
    b"[" + b'{"a": []},' * 1_000 + b"{}]",
    b'{"a": {"a": 1}, "b": {"a": 1}}',
]


@pytest.mark.parametrize(("raw", "code"), REFUSED.items(), ids=range(len(REFUSED)))
def test_refused(raw: bytes, code: str) -> None:
    with pytest.raises(UnreadableJson) as refusal:
        check_json(raw)
    assert refusal.value.code == code


@pytest.mark.parametrize("raw", TAKEN, ids=range(len(TAKEN)))
def test_taken(raw: bytes) -> None:
    assert check_json(raw) == json.loads(raw)


@pytest.mark.parametrize("text", [b"a" * 2_000_000, b"\\\\" * 1_000_000, b"\\\\" * 1_000_000 + b"\\u0001"])
def test_a_long_string_costs_a_few_times_its_length(text: bytes) -> None:
    raw = b'["' + text + b'", "\\\\u0000"' + b", []" * (MAX_DEPTH + 1) + b"]"
    tracemalloc.start()
    check_json(raw)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 8 * len(raw)


def test_the_sentence_shows_no_content() -> None:
    with pytest.raises(UnreadableJson) as refusal:
        check_json(b'{"card": 4111111111111111 }}')
    assert refusal.value.detail == "The body is not JSON: Extra data, line 1, column 28."


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_every_value_without_nul_survives(value: Any) -> None:
    raw = json.dumps(value).encode()
    if "\\u0000" in raw.decode().replace("\\\\", ""):
        with pytest.raises(UnreadableJson):
            check_json(raw)
    else:
        assert check_json(raw) == value


@given(st.binary(max_size=40))
def test_no_bytes_do_anything_but_pass_or_be_refused(raw: bytes) -> None:
    with suppress(UnreadableJson):
        check_json(raw)
