"""Takes the chunked transfer coding off a body. Source: RFC 9112, section 7.1; lenient and strict where libcurl is."""

import re
from http.client import HTTPException
from typing import Protocol

LONGEST_TRAILER = 4_096
# Bytes of one line, as libcurl takes them.

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,17})(?=[ \t;\r\n]|$)")
_LARGEST = 2**63 - 1


class BadChunk(HTTPException):
    """The body is not chunked as it should be."""


class BodyCut(HTTPException):
    """The connection ended before the end of the chunks."""


class TrailerTooLarge(HTTPException):
    """A trailer longer than any header needs to be."""


class Source(Protocol):
    def readline(self, limit: int = -1) -> bytes:
        """A line with its end; less at the end of the stream or after `limit` bytes."""

    def read1(self, size: int = -1) -> bytes:
        """What is there, after waiting for at least one byte; empty at the end of the stream."""


class ChunkReader:
    """Reads the content of a chunked body as it arrives."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._left = 0
        self._is_inside = False
        self._is_over = False

    def read1(self, size: int) -> bytes:
        """At most `size` bytes of content, empty after the last chunk. Raises BadChunk, BodyCut or TrailerTooLarge."""
        if self._is_over:
            return b""
        if not self._left:
            self._left = self._next_size()
            if not self._left:
                self._skip_trailers()
                self._is_over = True
                return b""
        data = self._source.read1(min(size, self._left) if size > 0 else self._left)
        if not data:
            raise BodyCut("the connection ended inside a chunk")
        self._left -= len(data)
        return data

    def _next_size(self) -> int:
        if self._is_inside and self._line(2) not in {b"\r\n", b"\n"}:
            raise BadChunk("a chunk is longer than its size")
        self._is_inside = True
        size = size_of(self._line(-1))
        if size is None:
            raise BadChunk("no size of a chunk")
        return size

    def _skip_trailers(self) -> None:
        while (line := self._line(LONGEST_TRAILER)) not in {b"\r\n", b"\n"}:
            if not line.endswith(b"\n"):
                raise TrailerTooLarge("a trailer is too long")

    def _line(self, limit: int) -> bytes:
        line = self._source.readline(limit)
        if not line.endswith(b"\n") and (limit < 0 or len(line) < limit):
            raise BodyCut("the connection ended between chunks")
        return line


def size_of(line: bytes) -> int | None:
    """The size at the start of a line; whatever stands behind it is an extension."""
    found = _SIZE.match(line)
    size = int(found[0], 16) if found else _LARGEST + 1
    return size if size <= _LARGEST else None


def unchunk(raw: bytes) -> bytes:
    """The content of a chunked body, as far as `raw` goes and makes sense."""
    pieces: list[bytes] = []
    at = 0
    while (end := raw.find(b"\n", at)) >= 0:
        size = size_of(raw[at:end])
        if not size:
            break
        pieces.append(raw[end + 1 : end + 1 + size])
        # Past the line end that follows the piece.
        at = raw.find(b"\n", end + 1 + size) + 1
        if at == 0:
            break
    return b"".join(pieces)
