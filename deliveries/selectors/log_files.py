"""A merchant's log as the text of a file: read by key, a page at a time, oldest first, in constant memory."""

import csv
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import StringIO
from typing import Any
from uuid import UUID

import msgspec

from deliveries.models import Attempt, Delivery, Event
from deliveries.selectors.log import ID_SLACK
from dispatcher.ids import Prefix, first_id, show

CSV, NDJSON = "csv", "ndjson"
ATTEMPTS, PAYLOADS = "attempts", "payloads"
INCLUDABLE = (ATTEMPTS, PAYLOADS)
PAGE_MOST = 500
# Deliveries read at once. With payloads of at most 256 KiB, fewer:
PAYLOADS_PAGE_MOST = 64
ATTEMPTS_PAGE_MOST = 5_000
# Attempts read at once, at about a kilobyte each. Ten of a delivery are usual; who resends makes any number of them.
DELIVERY_COLUMNS = (
    *("event_id", "delivery_id", "endpoint_id", "event_type", "account", "delivery_status", "delivery_attempts"),
    *("delivery_response_code", "delivery_error", "next_attempt_at", "last_attempt_at", "finished_at", "created_at"),
    "expunged_at",
)
ATTEMPT_COLUMNS = (
    *("attempt_id", "attempt_number", "attempt_trigger", "attempt_is_counted", "attempt_reason", "attempt_detail"),
    *("attempt_response_code", "attempt_started_at", "attempt_total_ms"),
)
PAYLOAD_COLUMN = "payload"
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
# Spreadsheets run a cell that begins so. Source: OWASP, "CSV Injection". An apostrophe in front makes it text.
_BODIES = ("request_headers", "request_body", "response_headers", "response_body")

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which part of whose log, and how it shall look. `since` is included, `until` is not."""

    owner_id: UUID
    since: datetime
    until: datetime
    format: str
    include: frozenset[str]

    @property
    def page_most(self) -> int:
        return PAYLOADS_PAGE_MOST if PAYLOADS in self.include else PAGE_MOST

    @property
    def columns(self) -> tuple[str, ...]:
        attempts = ATTEMPT_COLUMNS if ATTEMPTS in self.include else ()
        payload = (PAYLOAD_COLUMN,) if PAYLOADS in self.include else ()
        return (*DELIVERY_COLUMNS, *attempts, *payload)


@dataclass(frozen=True, slots=True)
class Page:
    """A piece of the file: so many deliveries, the last of which is where the next page goes on; None for none."""

    text: bytes
    deliveries: int
    last: UUID | None
    is_end: bool


def head(wanted: Wanted) -> bytes:
    """What stands before the first row."""
    return _csv_lines([wanted.columns]) if wanted.format == CSV else b""


def read(wanted: Wanted, *, after: UUID | None) -> Page:
    """The next page. Two statements, with attempts three."""
    rows = Delivery.objects.filter(
        owner_id=wanted.owner_id,
        created_at__gte=wanted.since,
        created_at__lt=wanted.until,
        id__gt=after or first_id(wanted.since, slack=-ID_SLACK),
        id__lt=first_id(wanted.until, slack=ID_SLACK),
    )
    looked = list(rows.order_by("id")[: wanted.page_most])
    if not looked:
        return Page(b"", 0, None, is_end=True)
    found = _beginning(looked) if ATTEMPTS in wanted.include else looked
    is_end = len(found) == len(looked) < wanted.page_most
    columns = ["external_id", "expunged_at", *(["payload"] if PAYLOADS in wanted.include else [])]
    events = Event.objects.only(*columns).in_bulk({row.event_id for row in found})
    attempts = _attempts(found) if ATTEMPTS in wanted.include else {}
    write = _csv if wanted.format == CSV else _ndjson
    return Page(write(wanted, found, events, attempts), len(found), found[-1].id, is_end)


def _beginning(rows: Sequence[Delivery]) -> Sequence[Delivery]:
    """The first of them, as many as have their attempts in memory together; one at least."""
    attempts = 0
    for position, row in enumerate(rows):
        attempts += row.attempts_made
        if attempts > ATTEMPTS_PAGE_MOST and position:
            return rows[:position]
    return rows


def _attempts(rows: Sequence[Delivery]) -> dict[UUID, list[Attempt]]:
    by_delivery: defaultdict[UUID, list[Attempt]] = defaultdict(list)
    tried = Attempt.objects.filter(delivery_id__in=[row.id for row in rows]).defer(*_BODIES)
    for attempt in tried.order_by("delivery_id", "number"):
        by_delivery[attempt.delivery_id].append(attempt)
    return by_delivery


def _delivery(row: Delivery, event: Event | None) -> dict[str, Any]:
    return {
        "event_id": event.public_id if event else show(Prefix.EVENT, row.event_id),
        "delivery_id": row.public_id,
        "endpoint_id": show(Prefix.ENDPOINT, row.endpoint_id),
        "event_type": row.event_type,
        "account": row.account,
        "delivery_status": row.status,
        "delivery_attempts": row.attempts_made,
        "delivery_response_code": row.last_status,
        "delivery_error": None if row.last_reason == "delivered" else row.last_reason,
        "next_attempt_at": row.next_attempt_at,
        "last_attempt_at": row.last_attempt_at,
        "finished_at": row.finished_at,
        "created_at": row.created_at,
        "expunged_at": event.expunged_at if event else None,
    }


def _attempt(row: Attempt) -> dict[str, Any]:
    return {
        "id": row.public_id,
        "number": row.number,
        "trigger": row.trigger,
        "is_counted": row.is_counted,
        "reason": row.reason,
        "detail": row.detail,
        "response_code": row.response_status,
        "started_at": row.started_at,
        "total_ms": round(row.total_ms, 3),
    }


def _payload(event: Event | None) -> bytes | None:
    return None if event is None or event.expunged_at is not None else bytes(event.payload)


Rows = Sequence[Delivery]
Events = dict[UUID, Event]
Attempts = dict[UUID, list[Attempt]]


def _ndjson(wanted: Wanted, rows: Rows, events: Events, attempts: Attempts) -> bytes:
    return b"".join(_encode(line) + b"\n" for line in _objects(wanted, rows, events, attempts))


def _objects(wanted: Wanted, rows: Rows, events: Events, attempts: Attempts) -> Iterator[dict[str, Any]]:
    """A delivery a line."""
    for row in rows:
        event = events.get(row.event_id)
        shown = _delivery(row, event)
        if ATTEMPTS in wanted.include:
            shown["attempts"] = [_attempt(attempt) for attempt in attempts.get(row.id, ())]
        if PAYLOADS in wanted.include:
            shown[PAYLOAD_COLUMN] = _on_one_line(_payload(event))
        yield shown


def _on_one_line(payload: bytes | None) -> Any:
    """As published, but for line ends: in JSON they only stand between the parts."""
    return None if payload is None else msgspec.Raw(payload.replace(b"\r", b" ").replace(b"\n", b" "))


def _csv(wanted: Wanted, rows: Rows, events: Events, attempts: Attempts) -> bytes:
    return _csv_lines(_lines(wanted, rows, events, attempts))


def _lines(wanted: Wanted, rows: Rows, events: Events, attempts: Attempts) -> Iterator[list[str]]:
    """A delivery a line; with attempts an attempt a line, and one with empty cells where there was none.

    The payload stands in a delivery's first line only: with one in each, who resends would make a file of any size.
    """
    nothing: dict[str, Any] = dict.fromkeys(name.removeprefix("attempt_") for name in ATTEMPT_COLUMNS)
    for row in rows:
        event = events.get(row.event_id)
        first = list(_delivery(row, event).values())
        payload = _payload(event) if PAYLOADS in wanted.include else None
        last: list[str | None] = [payload.decode() if payload else None] if PAYLOADS in wanted.include else []
        tries: list[dict[str, Any]] = [{}]
        if ATTEMPTS in wanted.include:
            tries = [_attempt(attempt) for attempt in attempts.get(row.id, ())] or [nothing]
        for one in tries:
            yield [_cell(value) for value in (*first, *one.values(), *last)]
            last = [None] * len(last)


def _cell(value: Any) -> str:
    """What a value is in a cell. Nothing that a spreadsheet would run."""
    match value:
        case None:
            return ""
        case bool():
            return json.dumps(value)
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case str() if value.startswith(FORMULA_STARTS):
            return f"'{value}"
        case _:
            return str(value)


def _csv_lines(lines: Any) -> bytes:
    """Source: RFC 4180."""
    text = StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(lines)
    return text.getvalue().encode()
