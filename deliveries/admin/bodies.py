"""Bytes from outside as text that can be read and does nothing."""

import re
from dataclasses import dataclass

TEXT_CHARACTERS = 65_536
# Of one body on a page. As much as is kept of an answer; of a larger payload the beginning.
HEX_BYTES = 512
# Of a binary body: enough to recognise its kind.
HEX_ROW_BYTES = 16
MAX_DEPTH = 64
# As deep as published JSON may be.

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+', re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Body:
    """`pretty` is the same JSON laid out over lines, None for other texts; when `is_binary`, `text` is a hex dump."""

    size: int
    text: str
    pretty: str | None = None
    is_binary: bool = False
    is_cut: bool = False


def read_body(raw: bytes | memoryview | None) -> Body:
    data = bytes(raw or b"")
    text = _text(data)
    if text is None:
        return Body(len(data), _hex_dump(data[:HEX_BYTES]), is_binary=True, is_cut=len(data) > HEX_BYTES)
    is_cut = len(text) > TEXT_CHARACTERS
    return Body(len(data), text[:TEXT_CHARACTERS], None if is_cut else pretty(text), is_cut=is_cut)


def _text(data: bytes) -> str | None:
    """A body that is cut in the middle of a character is still a text."""
    try:
        text = data.decode()
    except UnicodeDecodeError as trouble:
        if trouble.start < len(data) - 3 or trouble.reason != "unexpected end of data":
            return None
        text = data[: trouble.start].decode()
    return None if _CONTROL.search(text) else text


def _hex_dump(data: bytes) -> str:
    rows = []
    for start in range(0, len(data), HEX_ROW_BYTES):
        row = data[start : start + HEX_ROW_BYTES]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        rows.append(f"{start:04x}  {row.hex(' '):<{HEX_ROW_BYTES * 3}} {shown}")
    return "\n".join(rows)


def pretty(text: str) -> str | None:
    """The JSON text laid out over lines, every string and number as it was written; None if it is no object or array.

    Only spaces change: a reader that parsed and wrote anew would round numbers and drop repeated members.
    """
    if text.lstrip()[:1] not in ("{", "["):
        return None
    made: list[str] = []
    depth, opened = 0, False
    for match in _TOKEN.finditer(text):
        piece = match[0]
        if piece in "]}":
            depth -= 1
            if depth < 0:
                return None
            made.append(piece if opened else _line(depth) + piece)
        else:
            if opened:
                made.append(_line(depth))
            made.append({":": ": ", ",": "," + _line(depth)}.get(piece, piece))
        opened = piece in "[{"
        depth += opened
        if depth > MAX_DEPTH:
            return None
    return "".join(made) if depth == 0 else None


def _line(depth: int) -> str:
    return "\n" + "  " * depth
