"""Lists in pages: `{"data": […], "next_cursor": "…"|null}`, read on by key, never by offset.

A cursor holds the last key of its page and a signature over the list it belongs to, so that one made for another
merchant, list or filter is refused.
"""

import base64
import binascii
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from django.utils.crypto import constant_time_compare, salted_hmac

from subscriptions.errors import FieldError, Invalid

DEFAULT_LIMIT = 50
MOST = 200
SIGNATURE_BYTES = 12
# 96 bits, cut from HMAC-SHA256.

_LIMIT = re.compile(r"[0-9]{1,6}")
Row = TypeVar("Row", bound=Model)


def page(
    rows: QuerySet[Row],
    *,
    query: Mapping[str, str],
    scope: str,
    show: Callable[[Collection[Row]], list[dict[str, Any]]],
    by: str = "-id",
) -> dict[str, Any]:
    """One page of `rows`, ordered `by` a unique column. `scope` names the list with its owner and filters.

    Raises Invalid for a bad `limit` or `cursor`.
    """
    limit = read_limit(query)
    column, direction = by.removeprefix("-"), "lt" if by.startswith("-") else "gt"
    if cursor := query.get("cursor"):
        rows = rows.filter(**{f"{column}__{direction}": read_cursor(cursor, scope=scope)})
    found = list(rows.order_by(by)[: limit + 1])
    shown = found[:limit]
    is_last = len(found) <= limit
    next_cursor = None if is_last else make_cursor(str(getattr(shown[-1], column)), scope=scope)
    return {"data": show(shown), "next_cursor": next_cursor}


def read_limit(query: Mapping[str, str], *, default: int = DEFAULT_LIMIT, most: int = MOST) -> int:
    """`limit` from 1 to `most`. Raises Invalid."""
    text = query.get("limit")
    if text is None:
        return default
    if not _LIMIT.fullmatch(text) or not 1 <= int(text) <= most:
        raise Invalid(FieldError("/limit", "invalid_limit", f"The limit is a whole number from 1 to {most}."))
    return int(text)


def make_cursor(key: str, *, scope: str) -> str:
    return base64.urlsafe_b64encode(_signature(key, scope) + key.encode()).decode().rstrip("=")


def read_cursor(text: str, *, scope: str) -> str:
    """The key in a cursor of this very list. Raises Invalid."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        key = raw[SIGNATURE_BYTES:].decode()
    except (binascii.Error, ValueError):
        raise _bad_cursor() from None
    if not constant_time_compare(raw[:SIGNATURE_BYTES], _signature(key, scope)):
        raise _bad_cursor()
    return key


def _signature(key: str, scope: str) -> bytes:
    return salted_hmac(f"cursor:{scope}", key, algorithm="sha256").digest()[:SIGNATURE_BYTES]


def _bad_cursor() -> Invalid:
    return Invalid(FieldError("/cursor", "invalid_cursor", "This is no cursor of this list."))
