"""`ETag` and `If-Match` for objects with a `version`."""

import re

_STRONG = re.compile(r'"([0-9]{1,9})"')


def etag(version: int) -> str:
    return f'"{version}"'


def parse_if_match(header: str | None) -> frozenset[int] | None:
    """The versions that the caller accepts. None for no header or `*`; an empty set, which nothing matches, for tags
    that we never gave out, weak ones included. Source: RFC 9110, 13.1.1.
    """
    if header is None or header.strip() == "*":
        return None
    found = [_STRONG.fullmatch(part.strip()) for part in header.split(",")]
    return frozenset(int(tag[1]) for tag in found if tag)
