"""Takes the chunked transfer coding off a body."""


def unchunk(raw: bytes) -> bytes:
    """The content of a chunked body, as far as `raw` goes and makes sense. Source: RFC 9112, section 7.1."""
    pieces: list[bytes] = []
    at = 0
    while (end := raw.find(b"\n", at)) >= 0:
        try:
            size = int(raw[at:end].partition(b";")[0], 16)
        except ValueError:
            break
        if size <= 0:
            break
        pieces.append(raw[end + 1 : end + 1 + size])
        # Past the line end that follows the piece.
        at = raw.find(b"\n", end + 1 + size) + 1
        if at == 0:
            break
    return b"".join(pieces)
