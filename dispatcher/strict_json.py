"""Reads JSON that can be stored, compared and read again anywhere, and refuses every byte string that cannot."""

import json
import re
from typing import Any, NoReturn

MAX_DEPTH = 64
# Objects and arrays inside each other. Real payloads stay below 20; recursive readers fail at about 1,000.
MAX_NUMBER_CHARACTERS = 4_300
# Turning n digits into a number costs n². The length at which Python's own int() stops; floats are held to it too.

_BOM = b"\xef\xbb\xbf"
# Possessive: nothing here is ever matched again in another way, and remembering where it could be costs 120 bytes of
# memory for each byte of a string.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*+\\u0000")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


class UnreadableJson(ValueError):
    """Not JSON as we take it. `code` is for programs; the sentence names the trouble, never the content."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def check_json(raw: bytes) -> Any:
    """The value behind `raw`, or UnreadableJson.

    Strict RFC 8259 in UTF-8 without a BOM. Refused besides: duplicate keys, NaN and Infinity, numbers beyond a double
    or MAX_NUMBER_CHARACTERS, U+0000 and lone surrogates (neither Postgres nor UTF-8 can hold them), nesting beyond
    MAX_DEPTH. Costs about 10 µs for 1 KB: everything but the hooks for objects and numbers runs in C.
    """
    if raw.startswith(_BOM):
        raise UnreadableJson("byte_order_mark", "The body starts with a byte order mark.")
    value = _parse(_decode(raw))
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH:
        _check_depth(raw)
    if b"\\u0000" in raw and _NUL.search(raw):
        raise UnreadableJson("nul_character", "The body holds the character U+0000.")
    if b"\\ud" in raw or b"\\uD" in raw:
        _check_surrogates(value)
    return value


def _decode(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise UnreadableJson("invalid_utf8", "The body is not UTF-8.") from None


def _parse(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as trouble:
        raise UnreadableJson(
            "invalid_json", f"The body is not JSON: {trouble.msg}, line {trouble.lineno}, column {trouble.colno}."
        ) from None
    except RecursionError:
        raise _too_deep() from None
    except UnreadableJson:
        raise
    except ValueError:  # int() met more digits than Python turns into a number
        raise _bad_number() from None


def _check_depth(raw: bytes) -> None:
    """Peel the innermost pairs of brackets, one level at a time; all of it in C and without recursion."""
    brackets = _STRING.sub(b"", raw).translate(None, _NOT_BRACKETS)
    for _ in range(MAX_DEPTH):
        if not brackets:
            return
        brackets = _peel(brackets)
    if brackets:
        raise _too_deep()


def _peel(brackets: bytes) -> bytes:
    """Without every pair that holds nothing. A dot keeps the two passes from meeting across a pair just removed."""
    return brackets.replace(b"[]", b".").replace(b"{}", b".").translate(None, b".")


def _check_surrogates(value: Any) -> None:
    """Whole pairs were joined by the parser, so what UTF-8 cannot hold now was half of one."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise UnreadableJson("lone_surrogate", "The body holds half of a surrogate pair.") from None


def _too_deep() -> UnreadableJson:
    return UnreadableJson("too_deep", f"The body nests objects and arrays more than {MAX_DEPTH} deep.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise UnreadableJson("duplicate_key", "An object in the body has the same key twice.")
    return made


def _float(text: str) -> float:
    number = float(text) if len(text) <= MAX_NUMBER_CHARACTERS else float("inf")
    if number - number != 0:  # infinite
        raise _bad_number()
    return number


def _constant(name: str) -> NoReturn:
    raise UnreadableJson("invalid_json", f"The body is not JSON: {name} is no JSON value.")


def _bad_number() -> UnreadableJson:
    return UnreadableJson("number_out_of_range", "A number in the body is too large or too long.")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_float, parse_constant=_constant)
