"""Reads an HTTP/1 answer off a socket with exact limits; http.client's own allow 100 lines of 64 KiB each."""

from dataclasses import dataclass
from http.client import HTTPException
from io import RawIOBase
from time import monotonic

from dispatcher.http.framing import MOST_HEADERS, STATUS_LINE, BadHead, framing_of, read_fields

CHUNK_BYTES = 16_384
_PREFIX = b"HTTP/"


class HeadTooLarge(HTTPException):
    """The header blocks are over the limit."""


class HeadMalformed(HTTPException):
    """This is no HTTP/1 answer."""


class HeadCut(HTTPException):
    """The connection ended before the end of the headers."""


class WireTooLong(HTTPException):
    """More bytes than the body may have: data, or sizes, extensions and trailers of chunks."""


@dataclass(frozen=True, slots=True)
class Head:
    """The final answer's header block: `lines` as received without the status line, `framing` for http.client."""

    status: int
    lines: list[bytes]
    framing: bytes
    first_byte_at: float


class WireReader:
    """A buffered reader that never asks the socket for more than it was asked for itself, and counts.

    Stands in for the file that http.client reads from. What is left in it at the end belongs to no answer.
    """

    def __init__(self, raw: RawIOBase, *, ceiling: int) -> None:
        self._raw = raw
        self._ceiling = ceiling
        self._buffer = b""
        self._at = 0
        # Where the unread part of the buffer begins: cutting it off for each of many short lines would be quadratic.
        self._received = 0
        self.first_byte_at = 0.0
        self.is_ended = False

    def allow(self, size: int) -> None:
        """From here on at most `size` bytes more are needed; what comes with them in one piece may be read as well."""
        self._ceiling = self._received - self._unread() + size + CHUNK_BYTES

    @property
    def closed(self) -> bool:
        return self._raw.closed

    @property
    def has_leftover(self) -> bool:
        return self._at < len(self._buffer)

    def readline(self, limit: int = -1) -> bytes:
        """A line with its end; less at the end of the stream or after `limit` bytes."""
        while True:
            end = self._buffer.find(b"\n", self._at)
            if end >= 0:
                size = end + 1 - self._at
                return self._take(size if limit < 0 else min(size, limit))
            if 0 <= limit <= self._unread() or not self._fill():
                return self._take(limit)

    def read(self, size: int = -1) -> bytes:
        """Exactly `size` bytes, less at the end of the stream; all that comes when negative."""
        while (size < 0 or self._unread() < size) and self._fill():
            pass
        return self._take(size)

    def read1(self, size: int = -1) -> bytes:
        """What is there, after waiting for at least one byte."""
        if size and not self.has_leftover:
            self._fill()
        return self._take(size)

    def readinto(self, target: memoryview) -> int:
        data = self.read1(len(target))
        target[: len(data)] = data
        return len(data)

    def peek(self, _size: int = 0) -> bytes:
        return self._buffer[self._at :]

    def flush(self) -> None:
        """Files that are read from can be flushed too."""

    def close(self) -> None:
        self._raw.close()

    def _unread(self) -> int:
        return len(self._buffer) - self._at

    def _take(self, size: int) -> bytes:
        end = len(self._buffer) if size < 0 else min(self._at + size, len(self._buffer))
        taken = self._buffer[self._at : end]
        self._at = end
        return taken

    def _fill(self) -> bool:
        data = self._raw.read(CHUNK_BYTES)
        if not data:
            self.is_ended = True
            return False
        if not self._received:
            self.first_byte_at = monotonic()
        self._received += len(data)
        if self._received > self._ceiling:
            raise WireTooLong("more bytes than headers and body may have")
        self._buffer = self._buffer[self._at :] + data
        self._at = 0
        return True


def read_head(reader: WireReader, *, limit: int, is_bodyless: bool = False) -> Head:
    """The header block of the final answer; blocks of 1xx answers before it count towards `limit` bytes.

    101 is final: nobody asked for another protocol. `is_bodyless` is for answers to HEAD. Raises HeadTooLarge,
    HeadMalformed or HeadCut.
    """
    left = limit
    headers_left = MOST_HEADERS
    while True:
        _check_prefix(reader)
        line = _read_line(reader, left - len(_PREFIX))
        left -= len(_PREFIX) + len(line)
        version, status = _parse_status(_PREFIX + line)
        lines: list[bytes] = []
        while (line := _read_line(reader, left)) not in {b"\r\n", b"\n"}:
            left -= len(line)
            headers_left -= 1
            if headers_left < 0:
                raise HeadTooLarge("more headers than anybody needs")
            lines.append(line)
        left -= len(line)
        try:
            fields = read_fields(lines)
            if status >= 200 or status == 101:
                framing = framing_of(version, status, fields, is_bodyless=is_bodyless)
                return Head(status, lines, framing, reader.first_byte_at)
        except BadHead as error:
            raise HeadMalformed(str(error)) from None


def _check_prefix(reader: WireReader) -> None:
    """Refuse HTTP/0.9 and everything else at its first wrong byte, not when a line is full."""
    for index in range(len(_PREFIX)):
        byte = reader.read(1)
        if not byte:
            raise HeadCut("the connection ended before the end of the headers")
        if byte[0] != _PREFIX[index]:
            raise HeadMalformed("not an HTTP/1 answer")


def _read_line(reader: WireReader, limit: int) -> bytes:
    line = reader.readline(max(limit, 0) + 1)
    if len(line) > limit:
        raise HeadTooLarge("the headers are over the limit")
    if not line.endswith(b"\n"):
        raise HeadCut("the connection ended before the end of the headers")
    return line


def _parse_status(line: bytes) -> tuple[bytes, int]:
    found = STATUS_LINE.fullmatch(line)
    if found is None:
        raise HeadMalformed("not an HTTP/1 answer")
    return found[1], int(found[2])
