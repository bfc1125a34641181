"""Makes a PNG of a screen small: at most 256 colours, the most frequent kept exactly, and the best compression."""

import struct
import zlib
from collections import Counter

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MOST_COLOURS = 256
KEPT_ANYWAY = 48
APART = (600, 200, 50, 0)
# Squares of distances; the next where the one before leaves room.
BYTES_A_PIXEL = {2: 3, 6: 4}
# By the colour type: RGB and RGBA, of eight bits each. Source: PNG, third edition, sections 9 and 11.


def make_small(png: bytes) -> bytes:
    """The same picture with a palette. Screens have few colours but for the edges of letters, whose rare ones become
    their nearest neighbours."""
    width, height, pixels = _read(png)
    counted = Counter(pixels[at : at + 3] for at in range(0, len(pixels), 3))
    palette = _palette(counted)
    places = {colour: place for place, colour in enumerate(palette)}
    for colour in counted:
        if colour not in places:
            places[colour] = _nearest(colour, palette)
    rows = bytearray()
    for row in range(height):
        rows.append(0)
        start = row * width * 3
        rows += bytes(places[pixels[at : at + 3]] for at in range(start, start + width * 3, 3))
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = ((b"IHDR", head), (b"PLTE", b"".join(palette)), (b"IDAT", zlib.compress(bytes(rows), 9)), (b"IEND", b""))
    return SIGNATURE + b"".join(_chunk(kind, data) for kind, data in parts)


def _palette(counted: Counter[bytes]) -> list[bytes]:
    """The most frequent colours, but none that is nearly another's: a word in a colour of its own keeps it."""
    ordered = [colour for colour, _ in counted.most_common()]
    kept = ordered[:KEPT_ANYWAY]
    for apart in APART:
        for colour in ordered:
            if len(kept) == MOST_COLOURS:
                return kept
            if all(_distance(colour, one) > apart for one in kept):
                kept.append(colour)
    return kept


def _distance(one: bytes, other: bytes) -> int:
    return (one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2 + (one[2] - other[2]) ** 2


def _nearest(colour: bytes, palette: list[bytes]) -> int:
    distances = [_distance(colour, one) for one in palette]
    return distances.index(min(distances))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _read(png: bytes) -> tuple[int, int, bytes]:
    """Width, height and the pixels, three bytes each; transparency is left out."""
    chunks = dict[bytes, bytes]()
    at = len(SIGNATURE)
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        chunks[kind] = chunks.get(kind, b"") + png[at + 8 : at + 8 + length]
        at += 12 + length
    width, height, depth, colour_type, _, _, is_interlaced = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    if depth != 8 or colour_type not in BYTES_A_PIXEL or is_interlaced:
        raise ValueError("not a picture as browsers take them")
    size = BYTES_A_PIXEL[colour_type]
    raw = _unfilter(zlib.decompress(chunks[b"IDAT"]), width * size, size)
    if size == 3:
        return width, height, raw
    kept = bytearray(width * height * 3)
    for place in range(3):
        kept[place::3] = raw[place::4]
    return width, height, bytes(kept)


def _unfilter(data: bytes, length: int, size: int) -> bytes:
    """Each line was written as its difference from what stands left of it and above it."""
    made, above = bytearray(), bytearray(length)
    for start in range(0, len(data), length + 1):
        line = bytearray(data[start + 1 : start + 1 + length])
        _undo(data[start], line, above, size)
        made += line
        above = line
    return bytes(made)


def _undo(kind: int, line: bytearray, above: bytearray, size: int) -> None:
    if kind == 2:
        for at, value in enumerate(above):
            line[at] = (line[at] + value) & 255
    elif kind:
        for at in range(len(line)):
            left = line[at - size] if at >= size else 0
            corner = above[at - size] if at >= size else 0
            guess = {1: left, 3: (left + above[at]) // 2}.get(kind)
            line[at] = (line[at] + (_paeth(left, above[at], corner) if guess is None else guess)) & 255


def _paeth(left: int, above: int, corner: int) -> int:
    """Whichever of the three is nearest to left + above - corner."""
    guess = left + above - corner
    distances = abs(guess - left), abs(guess - above), abs(guess - corner)
    if distances[0] <= min(distances[1:]):
        return left
    return above if distances[1] <= distances[2] else corner
