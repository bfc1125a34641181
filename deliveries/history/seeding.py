"""Puts a made-up past into the database: new merchants with their endpoints, and a log for them, day by day."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import islice
from random import Random

from django.db import connection, transaction

from deliveries.history.model import Recipient, events_of_day
from deliveries.history.rows import COPY_ATTEMPTS, COPY_COUNTS, COPY_DELIVERIES, COPY_EVENTS, Rows
from deliveries.id_ranges import day_of
from deliveries.selectors.partitions import LEDGER, partitions
from deliveries.services import partitions as partitioning
from dispatcher.ids import first_id, new_id
from subscriptions.models import Endpoint, EventType, Merchant
from subscriptions.selectors import event_types

EVENTS_A_CHUNK = 5_000
# Some twenty megabytes of lines: one COPY of each kind, one transaction.
LINES_A_BLOCK = 1_000
GROUPS = ("invoice", "payment", "payout", "card")
HAPPENINGS = ("created", "paid", "failed")
TYPES = tuple(f"{group}.{happening}" for group in GROUPS for happening in HAPPENINGS)
ENDPOINTS = (1, 1, 1, 2)
# Of the merchants in turn: most have one, a few two.
SETTLED = timedelta(days=2)
# The newest day of the past: by now the last retry of its last delivery is over, so that nothing is left to be sent.


@dataclass(frozen=True, slots=True)
class Progress:
    """What is there so far."""

    day: datetime
    deliveries: int
    events: int
    attempts: int


def is_empty() -> bool:
    """Whether there is no event yet."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT NOT EXISTS (SELECT FROM deliveries_event)")
        return bool(cursor.fetchone()[0])


def seed(*, deliveries: int, days: int, merchants: int, now: datetime, random: Random) -> Iterator[Progress]:
    """Write so many deliveries, spread evenly over so many days, with events, attempts and hourly counts.

    1. Partitions for these days, if nothing lies there yet; else the rows go where rows of that time are.
    2. Merchants of very different size: the n-th has an n-th of the first one's events.
    3. Day by day, in the order of ids, chunk by chunk; a chunk is one transaction. Then the hours that are over.
    4. Each day is vacuumed and analysed, as autovacuum would have done long ago.
    """
    newest = datetime.combine(day_of(first_id(now)), time(), UTC) - SETTLED
    dates = [newest - timedelta(days=before) for before in range(days - 1, -1, -1)]
    partitioning.make_before(dates[0].date())
    owners = _recipients(merchants, now=now)
    weights = [1 / rank for rank in range(1, len(owners) + 1)]
    rows, total = Rows(), [0, 0, 0]
    for number, day in enumerate(dates):
        share = deliveries * (number + 1) // days - deliveries * number // days
        events = events_of_day(day, deliveries=share, owners=owners, weights=weights, types=TYPES, random=random)
        while chunk := list(islice(events, EVENTS_A_CHUNK)):
            for event in chunk:
                rows.add(event)
            total = [one + more for one, more in zip(total, _write(rows), strict=True)]
            yield Progress(day, deliveries=total[1], events=total[0], attempts=total[2])
        is_last = number == len(dates) - 1
        next_ms = int((day + timedelta(days=1)).timestamp() * 1000)
        with transaction.atomic():
            _copy(COPY_COUNTS, rows.counts(before_ms=None if is_last else next_ms))
    _tidy(since=dates[0])


def _recipients(count: int, *, now: datetime) -> list[list[Recipient]]:
    stamps = {"created_at": now, "updated_at": now}
    known = set(event_types.on_offer().values_list("name", flat=True))
    EventType.objects.bulk_create([EventType(name=name, **stamps) for name in TYPES if name not in known])
    name = f"history-{new_id().hex[-8:]}"
    merchants = Merchant.objects.bulk_create(
        [Merchant(name=f"{name}-{n}", reference=f"{name}-{n}", **stamps) for n in range(1, count + 1)]
    )
    endpoints = Endpoint.objects.bulk_create(
        Endpoint(owner=merchant, target=f"https://receiver-{place}.example/in", **stamps)
        for number, merchant in enumerate(merchants)
        for place in range(ENDPOINTS[number % len(ENDPOINTS)])
    )
    of_owner: dict[object, list[Recipient]] = {}
    for endpoint in endpoints:
        of_owner.setdefault(endpoint.owner_id, []).append(Recipient(endpoint.id, endpoint.owner_id, endpoint.target))
    return list(of_owner.values())


def _write(rows: Rows) -> list[int]:
    taken = rows.take()
    with transaction.atomic():
        for statement, lines in zip((COPY_EVENTS, COPY_DELIVERIES, COPY_ATTEMPTS), taken, strict=True):
            _copy(statement, lines)
    return [len(lines) for lines in taken]


def _copy(statement: str, lines: Iterable[str]) -> None:
    feed = iter(lines)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        while block := "".join(islice(feed, LINES_A_BLOCK)):
            copy.write(block)


def _tidy(*, since: datetime) -> None:
    touched = [one for one in partitions() if one.end is None or one.end > since.date()]
    with connection.cursor() as cursor:
        for partition in touched:
            for table in LEDGER:
                cursor.execute(f"VACUUM (ANALYZE) {partition.table(table)}")
        cursor.execute("VACUUM (ANALYZE) deliveries_hourlycount")
