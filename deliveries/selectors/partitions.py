"""Reads how the ledger lies on disk: which spans of days have partitions of their own, and how large they are."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from django.db import connection

from deliveries import id_ranges


@dataclass(frozen=True, slots=True)
class LedgerTable:
    """One partitioned table. All three are cut at the same ids: an event, its deliveries and their attempts lie in
    partitions of the same span, and go together."""

    name: str
    key: str
    # Whatever must be unique and cannot be said of the whole table, whose unique indexes would have to hold the key.
    # What is equal has equal keys here, or comes from one generator, so that one partition's index guards them all.
    unique_within: tuple[str, ...] = ()
    storage: str = ""


LEDGER = (
    LedgerTable("deliveries_event", "id"),
    # Half full: docs/adr/0003. A partitioned table hands on no storage options.
    LedgerTable("deliveries_delivery", "id", ("event_id", "endpoint_id"), "WITH (fillfactor = 50)"),
    LedgerTable("deliveries_attempt", "delivery_id", ("id",)),
)

EARLY, LATE = "early", "late"
# What lies before and behind the days that have partitions. Both are as good as empty, unless a host's clock is wrong,
# nobody has made partitions for days, or the installation is older than its partitions.

_CHILDREN = """
SELECT child.relname, pg_get_expr(child.relpartbound, child.oid), pg_total_relation_size(child.oid)
FROM pg_inherits i JOIN pg_class child ON child.oid = i.inhrelid
WHERE i.inhparent = %s::regclass
"""
_EDGES = re.compile(r"FROM \((MINVALUE|'(?P<low>[^']+)')\) TO \((MAXVALUE|'(?P<high>[^']+)')\)")
_IS_PARTITIONED = "SELECT relkind = 'p' FROM pg_class WHERE oid = to_regclass('deliveries_attempt')"


@dataclass(frozen=True, slots=True)
class Partition:
    """The UTC days from `first` up to `end`, which is not in it; None: as far as ids reach. `sizes` are the bytes on
    disk of its three tables, indexes and long values included, in the order of LEDGER."""

    name: str
    first: date | None
    end: date | None
    sizes: tuple[int, ...]

    @property
    def is_catch_all(self) -> bool:
        return self.first is None or self.end is None

    @property
    def ids(self) -> id_ranges.IdRange:
        low = id_ranges.FIRST if self.first is None else id_ranges.first_of(self.first)
        high = id_ranges.LAST if self.end is None else UUID(int=id_ranges.first_of(self.end).int - 1)
        return id_ranges.IdRange(low, high)

    def table(self, of: LedgerTable) -> str:
        return f"{of.name}_{self.name}"


def is_partitioned() -> bool:
    """False while the schema is older than partitions."""
    with connection.cursor() as cursor:
        cursor.execute(_IS_PARTITIONED)
        found = cursor.fetchone()
    return bool(found and found[0])


def partitions() -> list[Partition]:
    """All of them, oldest first, without a gap between them."""
    edges: dict[str, tuple[date | None, date | None]] = {}
    sizes: defaultdict[str, list[int]] = defaultdict(list)
    with connection.cursor() as cursor:
        for table in LEDGER:
            cursor.execute(_CHILDREN, [table.name])
            for child, bound, size in cursor.fetchall():
                name = child.removeprefix(f"{table.name}_")
                edges[name] = _days(bound)
                sizes[name].append(size)
    found = [Partition(name, *days, tuple(sizes[name])) for name, days in edges.items()]
    return sorted(found, key=lambda one: one.first or date.min)


def covered(found: Sequence[Partition]) -> tuple[date, date]:
    """The first day that has a partition of its own, and the first one after it that has none."""
    first, end = found[0].end, found[-1].first
    if first is None or end is None:
        raise LookupError("The ledger has no partitions for what lies before and behind its days.")
    return first, end


def _days(bound: str) -> tuple[date | None, date | None]:
    edges = _EDGES.search(bound)
    if edges is None:
        raise LookupError(f"This is no partition by range: {bound}")
    low, high = edges["low"], edges["high"]
    return low and id_ranges.day_of(UUID(low)), high and id_ranges.day_of(UUID(high))  # type: ignore[return-value]
