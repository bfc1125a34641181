"""The documents' pictures: small, and the same picture as before."""

import struct
import zlib
from pathlib import Path

import pytest

from tests.portal.pixels import SIGNATURE, make_small
from tests.portal.screenshots import DIRECTORY, MOST_BYTES

RED, WHITE, BLUE = b"\xff\x00\x00", b"\xff\xff\xff", b"\x10\x20\xf0"
PICTURE = [[RED, WHITE, BLUE], [WHITE, WHITE, RED], [BLUE, RED, RED]]


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(lines: list[bytes], *, colour_type: int = 2) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 3, len(lines), 8, colour_type, 0, 0, 0))
    return SIGNATURE + head + chunk(b"IDAT", zlib.compress(b"".join(lines))) + chunk(b"IEND", b"")


def filtered(kind: int, *, size: int = 3) -> list[bytes]:
    """The picture's lines as an encoder that uses one filter writes them."""
    plain = [b"".join(colour + b"\xff" * (size - 3) for colour in line) for line in PICTURE]
    above, lines = bytes(len(plain[0])), []
    for line in plain:
        coded = bytearray([kind])
        for at, value in enumerate(line):
            left, corner = (line[at - size], above[at - size]) if at >= size else (0, 0)
            nearest = min((left, above[at], corner), key=lambda one: abs(left + above[at] - corner - one))
            guess = (0, left, above[at], (left + above[at]) // 2, nearest)[kind]
            coded.append((value - guess) & 255)
        lines.append(bytes(coded))
        above = line
    return lines


def colours(small: bytes) -> list[list[bytes]]:
    at, parts = len(SIGNATURE), dict[bytes, bytes]()
    while at < len(small):
        length, kind = struct.unpack_from(">I4s", small, at)
        parts[kind] = small[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", small, at + 8 + length)[0] == zlib.crc32(kind + parts[kind])
        at += 12 + length
    rows = zlib.decompress(parts[b"IDAT"])
    palette = parts[b"PLTE"]
    return [[palette[place * 3 :][:3] for place in rows[start + 1 : start + 4]] for start in range(0, len(rows), 4)]


@pytest.mark.parametrize("kind", range(5))
@pytest.mark.parametrize(("size", "colour_type"), [(3, 2), (4, 6)])
def test_few_colours_stay_exactly(kind: int, size: int, colour_type: int) -> None:
    assert colours(make_small(png(filtered(kind, size=size), colour_type=colour_type))) == PICTURE


def test_other_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="not a picture as browsers take them"):
        make_small(png(filtered(0), colour_type=0))


def pictures() -> list[Path]:
    return sorted(DIRECTORY.glob("*.png"))


def test_the_documents_pictures_are_small() -> None:
    assert [path.name for path in pictures() if path.stat().st_size > MOST_BYTES] == []
    assert len(pictures()) >= 21
