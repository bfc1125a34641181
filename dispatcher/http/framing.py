"""What an answer's headers say about its body and its connection, read as libcurl reads them.

Where both clients read an answer by one rule, a merchant who changes nothing is told the same by either.
"""

import re
from collections.abc import Iterator, Sequence

STATUS_LINE = re.compile(rb"HTTP/(1\.[01]|[23](?:\.[0-9])?) ([1-9][0-9]{2})(?: [^\0\r\n]*)?\r?\n")
# Stricter than libcurl, which also takes "http", tabs, and a line break in the middle.
MOST_HEADERS = 5_000
# Over all header blocks of an answer. libcurl's own limit, which cannot be set.
LONGEST_LENGTH = 2**63 - 1
# A longer Content-Length says nothing, whatever stands behind its digits: libcurl reads until the connection ends.

_CONTINUED = (b" ", b"\t")
_NUMBER = re.compile(rb"[ \t]*0*([0-9]+)[ \t]*")

Fields = list[tuple[bytes, bytes]]


class BadHead(ValueError):
    """A header block that no HTTP/1 answer has."""


def read_fields(lines: Sequence[bytes]) -> Fields:
    """Names in lower case with their values, continued lines joined. Raises BadHead."""
    fields: Fields = []
    for line in _joined(lines):
        name, colon, value = line.partition(b":")
        if not colon:
            raise BadHead("header without a colon")
        fields.append((name.lower(), value.strip(b" \t")))
    return fields


def _joined(lines: Sequence[bytes]) -> list[bytes]:
    joined: list[bytes] = []
    for line in lines:
        text = line.removesuffix(b"\n").removesuffix(b"\r")
        if b"\0" in text or b"\r" in text:
            raise BadHead("NUL or carriage return in a header")
        if joined and text.startswith(_CONTINUED):
            joined[-1] += b" " + text.strip(b" \t")
        else:
            joined.append(text)
    return joined


def framing_of(version: bytes, status: int, fields: Fields, *, is_bodyless: bool) -> bytes:
    """A header block for http.client that holds nothing but the framing, in plain words. Raises BadHead.

    `is_bodyless`: the request was a HEAD, and whatever is said about a body does not matter.
    """
    said = [b"HTTP/%s %d -" % (b"1.0" if version == b"1.0" else b"1.1", status)]
    said += _connection(fields)
    if not is_bodyless and status not in {101, 204, 304}:
        said += _body(fields)
    return b"\r\n".join([*said, b"", b""])


def _body(fields: Fields) -> list[bytes]:
    length = _length(fields)
    codings = [value for name, value in fields if name == b"transfer-encoding"]
    if any(_is_chunked(coding) for coding in codings):
        return [b"Transfer-Encoding: chunked"]
    # Another coding says nothing about the length, and forbids Content-Length to.
    return [] if codings or length is None else [b"Content-Length: %d" % length]


def _is_chunked(coding: bytes) -> bool:
    return coding.partition(b",")[0].strip(b" \t").lower() == b"chunked"


def _length(fields: Fields) -> int | None:
    """Raises BadHead for a length that is none, or contradicts another."""
    lengths: set[int] = set()
    is_chunked = False
    for name, value in fields:
        if name == b"transfer-encoding":
            is_chunked = is_chunked or _is_chunked(value)
            if not is_chunked:
                # libcurl looks at no length behind it.
                break
        if name == b"content-length":
            lengths.update(_numbers(value))
    if len(lengths) > 1:
        raise BadHead("lengths that contradict each other")
    return next(iter(lengths), None)


def _numbers(value: bytes) -> Iterator[int]:
    for text in value.split(b","):
        found = _NUMBER.match(text)
        if found is None:
            raise BadHead("no number in Content-Length")
        # Python converts only so many digits, and whatever has twenty is too much.
        if len(found[1]) >= 20 or int(found[1]) > LONGEST_LENGTH:
            return
        if found.end() < len(text):
            raise BadHead("no number in Content-Length")
        yield int(found[1])


def _connection(fields: Fields) -> list[bytes]:
    tokens = {
        token.strip(b" \t").lower() for name, value in fields if name == b"connection" for token in value.split(b",")
    }
    if b"close" in tokens:
        return [b"Connection: close"]
    return [b"Connection: keep-alive"] if b"keep-alive" in tokens else []
