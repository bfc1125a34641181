"""Cuts the ledger into days: partitions are made before their day comes, emptied as a whole when it is over, and then
taken away.

The days that have partitions follow each other without a gap. What lies before them belongs to the partition `early`,
what lies behind them to `late`: whatever id a row has, there is a place for it. So nothing that is published can fail
because nobody made a partition, and lists run through the partitions in order and stop when a page is full, which
Postgres does not do where there is a DEFAULT partition.

Where tables of the whole ledger are locked, it is for milliseconds, and whoever asks for the lock gives up soon: while
he waits, publishers wait behind him.
"""

import logging
import time
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from django.db import OperationalError, connection, transaction
from psycopg.errors import DeadlockDetected, LockNotAvailable

from deliveries import id_ranges
from deliveries.selectors import partitions as layout
from deliveries.selectors.partitions import EARLY, LATE, LEDGER, Partition
from deliveries.services import partition_sql as sql
from dispatcher.ids import first_id
from subscriptions.advisory_locks import AdvisoryLock

logger = logging.getLogger(__name__)

DAYS_AHEAD = 8
# Beat may be dead for a week before the days run out; and then nothing fails, they only go without a cut.
LOCK_TIMEOUT = "100ms"
# The longest that publishers and drains can be made to wait for a lock that we wait for.
TRIES = 20
PAUSE_S = 0.5
# Between two tries: what holds the lock gets on, and what had to wait behind us, too.
NEXT = "next"
CLOCKS_DIFFER = timedelta(days=1)
# The ids of attempts carry the clocks of hosts, their times that of the database.

_kept: dict[str, date] = {}
# The UTC day for which this process has seen to the partitions.

T = TypeVar("T")


class LedgerBusy(Exception):
    """The locks were not to be had: somebody reads or writes for long. Nothing was changed; try again later."""


class _Changed(Exception):
    """What was seen before the lock was had is no longer so."""


def make_ahead(*, now: datetime) -> list[date]:
    """Make the partitions of the next days that have none yet, and return those days. Idempotent.

    When the days had run out, what was published since lies in `late`. No row is moved: that table becomes the
    partition of the days that it holds, and a new, empty one comes behind. Raises LedgerBusy.
    """
    today = id_ranges.day_of(first_id(now))
    return _patiently(lambda: _extend(today=today, last=today + timedelta(days=DAYS_AHEAD)))


def keep_ahead(*, now: datetime) -> None:
    """`make_ahead`, once a day in each process that is asked. Raises nothing: there is a week to try again."""
    today = id_ranges.day_of(first_id(now))
    if _kept.get("day") == today:
        return
    try:
        make_ahead(now=now)
    except LedgerBusy:
        logger.warning("The partitions of the next days were not made: the ledger is in use. They are tried again")
    else:
        _kept["day"] = today


def make_before(first: date) -> list[date]:
    """Make the partitions of past days, from that one on: for a history that is to be written. Returns those that were
    made: none where rows lie there already, for these would have to be moved. Raises LedgerBusy."""
    return _patiently(lambda: _extend_back(first))


def empty(partition: Partition, *, before: datetime) -> tuple[int, ...] | None:
    """Take all rows of one partition at once, and give its disk back. Returns how many of each table, in the order of
    LEDGER; None, and nothing was taken, while something in it is owed or was tried since `before`. Raises LedgerBusy.
    """
    if not _may_go(partition, before=before):
        return None
    counts = tuple(int(_one(sql.count(table, partition.name))) for table in LEDGER)
    return _patiently(lambda: _truncate(partition, counts, before=before))


def fold(*, by: date) -> list[date]:
    """Take away the partitions of the oldest days, all of which end by that day, as far as they are empty. `early`
    takes their place. Returns the first days of those that went. Raises LedgerBusy."""
    return _patiently(lambda: _fold(by))


def _extend(*, today: date, last: date) -> list[date]:
    _, first = layout.covered(layout.partitions())
    if first > last:
        return []
    newest = _newest_late()
    # What lies in `late` gets a partition of its own, which ends with a day for which nobody publishes yet.
    start = first if newest is None else max(id_ranges.day_of(newest), today) + timedelta(days=1)
    days = _days(start, last + timedelta(days=1))
    _create([*map(_name, days), *([] if newest is None else [NEXT])])
    _run(sql.LOCK_LEDGER)
    seen = _newest_late()
    if (seen is None) is not (newest is None) or (seen and id_ranges.day_of(seen) >= start):
        raise _Changed
    for table in LEDGER:
        _run(sql.detach(table, LATE))
        if newest is not None:
            _run(sql.rename(table, LATE, _name(first)))
            _run(sql.attach(table, _name(first), first, start))
            _run(sql.rename(table, NEXT, LATE))
        for day in days:
            _run(sql.attach(table, _name(day), day, day + timedelta(days=1)))
        _run(sql.attach(table, LATE, max(start, last + timedelta(days=1)), None))
    if newest is not None:
        logger.error("No partition was made for %s and the days after it: they share one now", first)
        return [first, *days]
    return days


def _extend_back(first: date) -> list[date]:
    end, _ = layout.covered(layout.partitions())
    days = _days(first, end)
    if not days:
        return []
    _create(map(_name, days))
    _run(sql.LOCK_LEDGER)
    newest = _newest(EARLY)
    if newest is not None and id_ranges.day_of(newest) >= first:
        for table in LEDGER:
            for day in days:
                _run(sql.drop(table, _name(day)))
        return []
    for table in LEDGER:
        _run(sql.detach(table, EARLY))
        for day in days:
            _run(sql.attach(table, _name(day), day, day + timedelta(days=1)))
        _run(sql.attach(table, EARLY, None, first))
    return days


def _truncate(partition: Partition, counts: tuple[int, ...], *, before: datetime) -> tuple[int, ...] | None:
    """Judged again under the lock: a replay may have been faster."""
    _run(sql.lock(partition.name))
    if not _may_go(partition, before=before):
        return None
    _run(sql.truncate(partition.name))
    return counts


def _may_go(partition: Partition, *, before: datetime) -> bool:
    since = {"since": before, "since_id": first_id(before, slack=-CLOCKS_DIFFER)}
    return bool(_one(sql.may_go(partition.name), partition.ids.params | since))


def _fold(by: date) -> list[date]:
    found = layout.partitions()
    # To move its edge Postgres reads through `early`, and everybody waits for that: only while it is empty.
    if not _one(sql.is_empty(EARLY)):
        return []
    gone: list[date] = []
    end = None
    for partition in found[1:-1]:
        if partition.first is None or partition.end is None or partition.end > by:
            break
        if not _one(sql.is_empty(partition.name)):
            break
        gone, end = [*gone, partition.first], partition.end
    if not gone:
        return []
    _run(sql.LOCK_LEDGER)
    names = [_name(first) for first in gone]
    if not all(_one(sql.is_empty(name)) for name in (EARLY, *names)):
        raise _Changed
    for table in LEDGER:
        for name in (EARLY, *names):
            _run(sql.detach(table, name))
        _run(sql.attach(table, EARLY, None, end))
        for name in names:
            _run(sql.drop(table, name))
    return gone


def _patiently(change: Callable[[], T]) -> T:
    """Try it in short transactions until the locks are had."""
    for _ in range(TRIES):
        try:
            with transaction.atomic():
                _run(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
                _be_alone()
                return change()
        except _Changed:
            continue
        except OperationalError as error:
            if not isinstance(error.__cause__, (LockNotAvailable, DeadlockDetected)):
                raise
            time.sleep(PAUSE_S)
    raise LedgerBusy("The ledger's tables are in use for long. Nothing was changed.")


def _newest_late() -> UUID | None:
    return _newest(LATE)


def _newest(name: str) -> UUID | None:
    found = [_one(sql.newest(table, name)) for table in LEDGER]
    return max((one for one in found if one is not None), default=None)


def _create(names: Iterable[str]) -> None:
    for name in names:
        for table in LEDGER:
            for statement in sql.create(table, name):
                _run(statement)


def _name(day: date) -> str:
    return f"d{day:%Y%m%d}"


def _days(first: date, end: date) -> list[date]:
    return [first + timedelta(days=count) for count in range((end - first).days)]


def _run(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def _be_alone() -> None:
    """Until the end of the transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [AdvisoryLock.PARTITIONS])


def _one(statement: str, params: dict[str, Any] | None = None) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        row = cursor.fetchone()
        return row[0] if row else None
