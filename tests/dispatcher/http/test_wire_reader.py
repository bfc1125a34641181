"""The reader below the requests client: http.client's file, with exact limits."""

import io

import pytest

from dispatcher.http.wire_reader import HeadCut, HeadMalformed, HeadTooLarge, WireReader, WireTooLong, read_head


class Pieces(io.RawIOBase):
    """A socket's file that gives the data in the given pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        assert size > 0
        return self._pieces.pop(0) if self._pieces else b""


def reader(*pieces: bytes, ceiling: int = 1_000) -> WireReader:
    return WireReader(Pieces(*pieces), ceiling=ceiling)


def test_lines_across_pieces() -> None:
    made = reader(b"on", b"e\ntw", b"o\nthree")
    assert [made.readline() for _ in range(4)] == [b"one\n", b"two\n", b"three", b""]
    assert made.is_ended


def test_a_line_is_cut_at_the_limit() -> None:
    made = reader(b"abcdef\n")
    assert made.readline(3) == b"abc"
    assert made.readline(0) == b""
    assert made.readline(100) == b"def\n"


def test_reads_no_more_than_asked() -> None:
    made = reader(b"abc", b"def")
    assert (made.read(2), made.has_leftover) == (b"ab", True)
    assert (made.read1(10), made.has_leftover) == (b"c", False)
    assert made.read1(2) == b"de"
    target = bytearray(4)
    assert made.readinto(memoryview(target)) == 1
    assert target == b"f\0\0\0"
    assert made.read() == b""


def test_the_ceiling_counts_what_came_off_the_wire() -> None:
    made = reader(b"x" * 600, b"x" * 400, b"x", ceiling=1_000)
    assert len(made.read(1_000)) == 1_000
    with pytest.raises(WireTooLong):
        made.read(1)


def test_the_final_head() -> None:
    head = read_head(
        reader(
            b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n",
            b"HTTP/1.0 404 Not Found\r\nA: b\r\n c\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc",
        ),
        limit=1_000,
    )
    assert head.status == 404
    assert head.lines == [b"A: b\r\n", b" c\r\n", b"Connection: keep-alive\r\n", b"Content-Length: 3\r\n"]
    assert head.framing == b"HTTP/1.0 404 -\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", HeadCut),
        (b"HTT", HeadCut),
        (b"HTTP/1.1 200 OK", HeadCut),
        (b"HTTP/1.1 200 OK\r\nA: b\r\n", HeadCut),
        (b"HTTQ", HeadMalformed),
        (b"HTTP/1.1 2000 OK\r\n\r\n", HeadMalformed),
        (b"HTTP/1.1 200 OK\r\n folded\r\n\r\n", HeadMalformed),
        (b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n", HeadMalformed),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 1_000 + b"\r\n\r\n", HeadTooLarge),
    ],
)
def test_heads_that_are_none(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        read_head(reader(data, ceiling=10_000), limit=1_000)


def test_the_limit_is_exact() -> None:
    data = b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"
    assert read_head(reader(data), limit=len(data)).status == 200
    with pytest.raises(HeadTooLarge):
        read_head(reader(data), limit=len(data) - 1)
