"""Reads the delivery log page by page. Never reads attempts, never counts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

from django.db.models import QuerySet

from deliveries.models import Delivery, Event
from dispatcher.ids import first_id, new_id, time_of
from subscriptions.errors import NotFound
from subscriptions.models import Endpoint

ID_SLACK = timedelta(minutes=1)
# An id is made a moment after its row's `created_at` was taken. The index narrows the window by the ids' time, this
# much wider, and the exact moments are compared in what is left.
FIRST_LOOK = timedelta(days=2)
# Most pages are full of what happened since. What is left is looked for in all days before.

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """Which deliveries are wanted; None asks for all. `since` is included, `until` is not."""

    status: str | None = None
    event_type: str | None = None
    endpoint_id: UUID | None = None
    account: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class LogRow:
    """One delivery with what the log shows of its event. The fields stand in the order of COLUMNS."""

    id: UUID
    event_id: UUID
    endpoint_id: UUID
    event_type: str
    account: str | None
    status: str
    attempts_made: int
    last_status: int | None
    last_reason: str | None
    next_attempt_at: datetime | None
    created_at: datetime
    external_id: str | None = None
    payload: bytes = b""
    expunged_at: datetime | None = None


COLUMNS = (
    "id",
    "event_id",
    "endpoint_id",
    "event_type",
    "account",
    "status",
    "attempts_made",
    "last_status",
    "last_reason",
    "next_attempt_at",
    "created_at",
)


def read_page(*, owner_id: UUID, where: LogFilter, before: UUID | None, offset: int, limit: int) -> list[LogRow]:
    """Deliveries to the owner's endpoints, deleted ones included, newest first. Two statements, three where the newest
    days do not fill the page."""
    rows = matching(owner_id, where).order_by("-id")
    if before is not None:
        rows = rows.filter(id__lt=before)
    shown = rows.values_list(*COLUMNS)
    found = list(shown[offset : offset + limit]) if offset else first_rows(shown, newest=before, limit=limit)
    return _with_events([LogRow(*values) for values in found])


def first_rows(rows: "QuerySet[Delivery, Row]", *, newest: UUID | None, limit: int) -> list[Row]:
    """The first of these rows, which are in order, newest first. They are looked for in a few days first: to plan a
    look at every day that is kept takes longer than the look."""
    floor = first_id(time_of(newest or new_id()), slack=-FIRST_LOOK)
    found = list(rows.filter(id__gte=floor)[:limit])
    if len(found) == limit:
        return found
    return found + list(rows.filter(id__lt=floor)[: limit - len(found)])


def matching(owner_id: UUID, where: LogFilter, *, is_exact: bool = True) -> QuerySet[Delivery]:
    """The owner's deliveries that are wanted. Not exactly: a moment more at either end, read from the index alone."""
    rows = Delivery.objects.filter(owner_id=owner_id)
    exact = {name: getattr(where, name) for name in ("status", "event_type", "endpoint_id", "account")}
    rows = rows.filter(**{name: value for name, value in exact.items() if value is not None})
    if where.since is not None:
        rows = rows.filter(id__gte=first_id(where.since, slack=-ID_SLACK))
        rows = rows.filter(created_at__gte=where.since) if is_exact else rows
    if where.until is not None:
        rows = rows.filter(id__lt=first_id(where.until, slack=ID_SLACK))
        rows = rows.filter(created_at__lt=where.until) if is_exact else rows
    return rows


def _with_events(rows: Sequence[LogRow]) -> list[LogRow]:
    events = Event.objects.filter(id__in={row.event_id for row in rows}) if rows else Event.objects.none()
    known = {event.id: event for event in events.only("external_id", "payload", "expunged_at")}
    return [
        replace(row, external_id=event.external_id, payload=bytes(event.payload), expunged_at=event.expunged_at)
        for row in rows
        if (event := known.get(row.event_id))
    ]


def check_endpoint(*, owner_id: UUID, endpoint_id: UUID) -> None:
    """Raises NotFound for another merchant's endpoint. A deleted one still has its log."""
    if not Endpoint.objects.filter(id=endpoint_id, owner_id=owner_id).exists():
        raise NotFound("There is no such endpoint.")
