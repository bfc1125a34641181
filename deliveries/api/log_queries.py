"""Reads what a merchant asks of its delivery log, and makes the address of the next page."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from deliveries.models import Delivery
from deliveries.selectors.log import LogFilter
from dispatcher.ids import InvalidId, Prefix, parse
from subscriptions.api import pagination
from subscriptions.errors import Invalid
from subscriptions.models.catalogue import EVENT_TYPE_PATTERN
from subscriptions.models.merchants import REFERENCE_LENGTH
from subscriptions.services import shapes

OFFSET_MAX = 10_000
# Rows that Postgres reads only to skip them. Whoever wants more follows the links.

_OFFSET = re.compile(r"[0-9]{1,6}")
_EVENT_TYPE = re.compile(EVENT_TYPE_PATTERN)


@dataclass(frozen=True, slots=True)
class LogQuery:
    """One page: what, from where, how much."""

    where: LogFilter
    before: UUID | None
    offset: int
    limit: int
    scope: str


def read(params: Mapping[str, str], *, owner_id: UUID) -> LogQuery:
    """Raises Invalid with every fault in the filters, or for a cursor of another list."""
    values, faults = shapes.read({name: params[name] for name in SHAPE if name in params}, SHAPE)
    if faults:
        raise Invalid(*faults)
    limit, offset, cursor = pagination.read_limit(params), values.pop("offset", 0), params.get("cursor")
    scope = f"deliveries {owner_id} {sorted((name, params[name]) for name in values)}"
    before = UUID(pagination.read_cursor(cursor, scope=scope)) if cursor else None
    return LogQuery(
        LogFilter(**{FIELDS.get(name, name): values[name] for name in values}), before, offset, limit, scope
    )


def next_link(url: str, params: Mapping[str, str], query: LogQuery, *, last: UUID) -> str:
    """The value of `Link` for the page after the delivery `last`. Source: RFC 8288."""
    kept = {name: value for name, value in params.items() if name not in {"cursor", "offset"}}
    asked = urlencode(kept | {"cursor": pagination.make_cursor(str(last), scope=query.scope)})
    return f'<{url}?{asked}>; rel="next"'


def _event_type(value: Any) -> str:
    if not _EVENT_TYPE.fullmatch(shapes.line(most=128)(value)):
        raise shapes.wrong("invalid_event_type", "This must be the name of an event type.")
    return str(value)


def endpoint_id(value: Any) -> UUID:
    """A check that takes an endpoint's id, whether there is such an endpoint or not."""
    try:
        return parse(Prefix.ENDPOINT, shapes.line(most=64)(value))
    except InvalidId:
        raise shapes.wrong("invalid_id", "This must be the id of an endpoint.") from None


def _moment(value: Any) -> Any:
    # A plus sign that was not percent-encoded arrives as a space.
    return shapes.moment(value.replace(" ", "+"))


def _offset(value: Any) -> int:
    if not _OFFSET.fullmatch(value) or int(value) > OFFSET_MAX:
        raise shapes.wrong("invalid_offset", f"The offset is a whole number from 0 to {OFFSET_MAX}; use the cursor.")
    return int(value)


SHAPE: shapes.Shape = {
    "status": shapes.choice(Delivery.Status.values),
    "event_type": _event_type,
    "endpoint": endpoint_id,
    "account": shapes.line(most=REFERENCE_LENGTH),
    "since": _moment,
    "until": _moment,
    "offset": _offset,
}
FIELDS = {"endpoint": "endpoint_id"}
