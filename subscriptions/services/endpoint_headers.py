"""The headers that a merchant adds to its deliveries."""

from typing import Any

from dispatcher.profiles.headers import HeaderError, check_header, is_reserved_header
from subscriptions.services.shapes import json_object, map_of, wrong

MOST_HEADERS = 20


def check_headers(value: Any) -> dict[str, str]:
    """The `headers` of an endpoint: none reserved, none twice in another case. Raises Wrong."""
    headers: dict[str, str] = _HEADERS(json_object(value))
    if len({name.lower() for name in headers}) != len(headers):
        raise wrong("duplicate_header", "Header names must differ by more than upper and lower case.")
    return headers


def _check_name(value: Any) -> str:
    name = str(value)
    if is_reserved_header(name):
        raise wrong("reserved_header", "This header is not yours to set.")
    try:
        check_header(name, "")
    except HeaderError as trouble:
        raise wrong("invalid_header_name", str(trouble)) from None
    return name


def _check_value(value: Any) -> str:
    if not isinstance(value, str):
        raise wrong("wrong_type", "This must be a text.")
    try:
        check_header("Value", value)
    except HeaderError:
        message = "A header value has at most 4,096 bytes of ISO 8859-1 and no control characters."
        raise wrong("invalid_header_value", message) from None
    return value


_HEADERS = map_of(_check_name, _check_value, most=MOST_HEADERS)
