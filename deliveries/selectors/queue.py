"""Reads how the queue stands: what is due, what is in flight, and how fast events come and attempts go.

Nothing here grows with the log: lanes with work, a bounded number of their entries, and the newest rows of the ledger.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from dispatcher.ids import first_id

DUE_MOST = 10_000
# Entries that are counted as due; beyond it the number is a lower bound. A few milliseconds, however long the queue.
LANES_MOST = 1_000
# Lanes whose entries are counted for that, those due longest first.
NEWEST_MOST = 20_000
# Of the newest events, and of the newest attempts, so many are read at most: some tens of milliseconds.

STATE = """
WITH busy AS MATERIALIZED (
    SELECT due_at, leased_until, in_flight, endpoint_id, open_until, paced_until, not_before
    FROM deliveries_lane WHERE due_at IS NOT NULL
),
ready AS MATERIALIZED (
    SELECT endpoint_id, in_flight FROM busy
    WHERE (due_at <= %(now)s OR leased_until > %(now)s) AND (not_before IS NULL OR not_before <= %(now)s)
    ORDER BY due_at LIMIT %(lanes)s
),
due AS MATERIALIZED (
    SELECT e.due_at FROM ready CROSS JOIN LATERAL (
        SELECT due_at FROM deliveries_laneentry
        WHERE endpoint_id = ready.endpoint_id AND due_at <= %(now)s AND delivery_id <> ALL (ready.in_flight)
        ORDER BY due_at LIMIT %(most)s
    ) e
    LIMIT %(most)s
)
SELECT
    (SELECT count(*) FROM due), (SELECT min(due_at) FROM due), (SELECT count(*) FROM ready),
    COALESCE(sum(cardinality(in_flight)) FILTER (WHERE leased_until > %(now)s), 0),
    count(*) FILTER (WHERE leased_until > %(now)s),
    count(*) FILTER (WHERE leased_until <= %(now)s),
    count(*) FILTER (WHERE leased_until IS NULL AND due_at <= %(now)s),
    count(*) FILTER (WHERE leased_until IS NULL AND due_at > %(now)s AND open_until > %(now)s),
    count(*) FILTER (
        WHERE leased_until IS NULL AND due_at > %(now)s AND open_until IS NULL AND paced_until > %(now)s
    ),
    count(*) FILTER (WHERE leased_until IS NULL AND due_at > %(now)s)
FROM busy
"""

REACH = """
SELECT count(*), (array_agg(id ORDER BY id))[1] FROM (
    SELECT id FROM {table} WHERE id >= %(since)s ORDER BY id DESC LIMIT %(most)s
) newest
"""

EVENTS = """
SELECT width_bucket(id, %(bounds)s::uuid[]), count(*) FROM (
    SELECT id FROM deliveries_event WHERE id >= %(since)s ORDER BY id DESC LIMIT %(most)s
) newest GROUP BY 1
"""

ATTEMPTS = """
SELECT width_bucket(id, %(bounds)s::uuid[]), reason, count(*) FROM (
    SELECT id, reason FROM deliveries_attempt WHERE id >= %(since)s ORDER BY id DESC LIMIT %(most)s
) newest GROUP BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Lanes:
    """How many lanes with work are in which state. Idle ones are not counted."""

    leased: int
    expired: int
    due: int
    broken: int
    paced: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits now. Unless `is_exact`, at least so much is due. What is in flight is not, nor what a breaker or a
    rate limit holds back: nobody could send it."""

    due: int
    is_exact: bool
    oldest_due_at: datetime | None
    in_flight: int
    lanes: Lanes


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the present, cut into equal steps."""

    length: timedelta
    steps: int

    @property
    def step(self) -> timedelta:
        return self.length / self.steps


SPANS = (
    Span(timedelta(hours=1), 60),
    Span(timedelta(minutes=15), 60),
    Span(timedelta(minutes=5), 60),
    Span(timedelta(minutes=1), 60),
    Span(timedelta(seconds=10), 10),
)
# The longest that NEWEST_MOST rows reach back through is shown, so that its numbers are counts and not estimates.

LATELY = timedelta(minutes=5)


@dataclass(slots=True)
class Step:
    """What came and went in one step of a span; attempts by their reason."""

    begins_at: datetime
    events: int = 0
    attempts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Flow:
    """The present, step by step. Not exact: there was more than is read for even the shortest span."""

    span: Span
    steps: list[Step]
    is_exact: bool

    @property
    def events(self) -> int:
        return sum(step.events for step in self.steps)

    @property
    def attempts(self) -> dict[str, int]:
        """Of the whole span, by reason, the most frequent first."""
        found: dict[str, int] = {}
        for step in self.steps:
            for reason, count in step.attempts.items():
                found[reason] = found.get(reason, 0) + count
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    @property
    def lately(self) -> "Flow":
        """Its last minutes, over which a rate is neither a moment's nor last hour's."""
        steps = min(self.span.steps, max(1, LATELY // self.span.step))
        return Flow(Span(self.span.step * steps, steps), self.steps[-steps:], self.is_exact)

    def events_per_s(self) -> float:
        return self.events / self.span.length.total_seconds()

    def attempts_per_s(self) -> float:
        return sum(self.attempts.values()) / self.span.length.total_seconds()


def read(*, now: datetime) -> Queue:
    """One statement."""
    params = {"now": now, "most": DUE_MOST, "lanes": LANES_MOST}
    [(due, oldest, ready, flying, leased, expired, ripe, broken, paced, waiting)] = _rows(STATE, params)
    lanes = Lanes(leased=leased, expired=expired, due=ripe, broken=broken, paced=paced, waiting=waiting)
    return Queue(due, due < DUE_MOST and ready < LANES_MOST, oldest, int(flying), lanes)


def flow(*, now: datetime, most: int = NEWEST_MOST) -> Flow:
    """Events published and attempts recorded lately, over the longest of SPANS that `most` rows reach back through.

    Four statements, each of which reads the newest rows by their key.
    """
    span, is_exact = _span(now, most)
    bounds = [now - span.length + span.step * number for number in range(span.steps)]
    steps = [Step(begins_at) for begins_at in bounds]
    params = {"since": first_id(bounds[0]), "bounds": [first_id(bound) for bound in bounds], "most": most}
    for place, count in _rows(EVENTS, params):
        steps[place - 1].events = count
    for place, reason, count in _rows(ATTEMPTS, params):
        steps[place - 1].attempts[reason] = count
    return Flow(span, steps, is_exact)


def _span(now: datetime, most: int) -> tuple[Span, bool]:
    """The longest span of which all events and all attempts can be read."""
    oldest = max(_reach(table, now, most) for table in ("deliveries_event", "deliveries_attempt"))
    for span in SPANS:
        if oldest <= first_id(now - span.length):
            return span, True
    return SPANS[-1], False


def _reach(table: str, now: datetime, most: int) -> UUID:
    """The id from which on the newest `most` rows are all that there are; the lowest of all where there are fewer."""
    since = first_id(now - SPANS[0].length)
    [(count, oldest)] = _rows(REACH.format(table=table), {"since": since, "most": most})
    return oldest if count == most else UUID(int=0)


def _rows(sql: str, params: dict[str, Any]) -> Sequence[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())
