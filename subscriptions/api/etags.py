"""`ETag` and `If-Match` for objects with a `version`."""

import re
from collections.abc import Collection

_STRONG = re.compile(r'"([0-9]{1,9})"')
_ANY = range(1, 2**31)
# All that the column can hold. `*` asks for an object that exists, whatever its version.


def etag(version: int) -> str:
    return f'"{version}"'


def parse_if_match(header: str | None) -> Collection[int] | None:
    """The versions that the caller accepts, None for no header; none at all, which nothing matches, for tags that we
    never gave out, weak ones included. Source: RFC 9110, 13.1.1.
    """
    if header is None:
        return None
    if header.strip() == "*":
        return _ANY
    found = [_STRONG.fullmatch(part.strip()) for part in header.split(",")]
    return frozenset(int(tag[1]) for tag in found if tag)
