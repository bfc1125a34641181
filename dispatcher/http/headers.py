"""Header lines, outgoing and incoming: what may go on the wire, and how a received block is kept."""

import re
from functools import lru_cache

OWN_NAMES = frozenset(
    {"host", "content-length", "connection", "transfer-encoding", "expect", "te", "upgrade", "trailer", "keep-alive"}
)
# They frame the request or steer the connection: the client writes them itself, from what it really sends.

_SPLITS = re.compile(r"[\r\n\0]")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, section 5.6.2


class UnsendableHeader(ValueError):
    """The header would end its line early, is no header, or belongs to the client."""


def check_headers(headers: tuple[tuple[str, str], ...]) -> None:
    """Raise UnsendableHeader unless all of `headers` can go on the wire as they are."""
    for name, _ in headers:
        if not _is_plain_name(name):
            raise UnsendableHeader("the name of a header cannot be sent")
    values = "".join([value for _, value in headers])
    if _SPLITS.search(values) is not None:
        raise UnsendableHeader("the value of a header holds a line break or a NUL")
    if not values.isascii() and max(values) > "\xff":
        raise UnsendableHeader("the value of a header is not latin-1")


@lru_cache(maxsize=4_096)
def _is_plain_name(name: str) -> bool:
    return _TOKEN.fullmatch(name) is not None and name.lower() not in OWN_NAMES


def header_text(lines: list[bytes]) -> str:
    """A received block as it is logged: latin-1, each line ends with CRLF, no NUL (PostgreSQL's text takes none)."""
    block = b"".join(lines)
    if block.count(b"\n") != block.count(b"\r\n"):
        block = b"".join([line.rstrip(b"\r\n") + b"\r\n" for line in lines])
    return block.replace(b"\0", b"").decode("latin-1")
