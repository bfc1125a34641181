"""Reads the log for people: a page at a time, and never more rows than can be looked at in a moment.

A filter that hits one delivery in a million would make a page read all of them. So a page looks at a slice of the log;
when it is not full by then, it says how far it looked, and the reader goes on from there.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet

from deliveries.models import Delivery, Event
from deliveries.selectors.log import LogFilter, first_rows, matching
from dispatcher.ids import time_of

PAGE = 50
SLICE = 20_000
# Rows that one page looks at: some 20 ms of Postgres' time.
SHOWN = (
    *("id", "event_id", "endpoint_id", "event_type", "account", "status", "attempts_made", "attempts_counted"),
    *("last_status", "last_reason", "last_attempt_at", "next_attempt_at", "finished_at", "created_at"),
)


@dataclass(frozen=True, slots=True)
class Page:
    """`next_before` is the id after which the next page begins, None at the end of the log; `looked_back_to` is set
    where the slice ended before the page was full."""

    rows: Sequence[Delivery]
    next_before: UUID | None
    looked_back_to: datetime | None = None


def read(*, owner_id: UUID, where: LogFilter, before: UUID | None) -> Page:
    """Deliveries to the owner's endpoints, deleted ones included, newest first. At most three statements."""
    rows = matching(owner_id, where).only(*SHOWN).order_by("-id")
    if before is not None:
        rows = rows.filter(id__lt=before)
    end = _end_of_slice(owner_id, where, before) if _may_miss(where) else None
    if end is not None:
        rows = rows.filter(id__gte=end)
    found = first_rows(rows, newest=before, limit=PAGE + 1)
    if len(found) > PAGE:
        return Page(found[:PAGE], found[PAGE - 1].id)
    return Page(found, end, time_of(end) if end else None)


def read_these(*, owner_id: UUID, ids: Collection[UUID]) -> Page:
    """The owner's deliveries among these, newest first."""
    rows = Delivery.objects.filter(owner_id=owner_id, id__in=ids).only(*SHOWN).order_by("-id")
    return Page(list(rows), None)


def newest_states(owner_id: UUID) -> list[tuple[str, int]]:
    """Status and number of attempts of the owner's newest deliveries, tests among them, which statistics leave out."""
    rows = Delivery.objects.filter(owner_id=owner_id).order_by("-id")
    return first_rows(rows.values_list("status", "attempts_made"), newest=None, limit=PAGE)


def external_ids(rows: Sequence[Delivery]) -> dict[UUID, str]:
    """The provider's own ids of the events, where it gave one."""
    events = Event.objects.filter(id__in={row.event_id for row in rows}, external_id__isnull=False)
    return {event_id: str(text) for event_id, text in events.values_list("id", "external_id")}


def _may_miss(where: LogFilter) -> bool:
    """Whether rows of the index that is read may be passed over."""
    return any(value is not None for value in (where.status, where.event_type, where.account))


def _end_of_slice(owner_id: UUID, where: LogFilter, before: UUID | None) -> UUID | None:
    """The oldest id that this page looks at; None where the log ends sooner. Read from the index alone."""
    wide = LogFilter(endpoint_id=where.endpoint_id, since=where.since, until=where.until)
    rows: QuerySet[Delivery] = matching(owner_id, wide, is_exact=False)
    if before is not None:
        rows = rows.filter(id__lt=before)
    return rows.order_by("-id").values_list("id", flat=True)[SLICE - 1 : SLICE].first()
