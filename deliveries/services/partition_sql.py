"""The statements that change how the ledger is partitioned. Names and edges are ours, never a caller's."""

from datetime import date

from deliveries import id_ranges
from deliveries.selectors.partitions import LEDGER, LedgerTable

LOCK_LEDGER = "LOCK TABLE {} IN ACCESS EXCLUSIVE MODE".format(", ".join(f"ONLY {table.name}" for table in LEDGER))
# All three at once and in the order in which publishers and drains write them.


def create(table: LedgerTable, name: str) -> list[str]:
    """A table that can become a partition of `table`: nobody waits while it is made."""
    child = f"{table.name}_{name}"
    unique = ", ".join(table.unique_within)
    return [
        f"CREATE TABLE {child} (LIKE {table.name} INCLUDING ALL) {table.storage}",
        *([f"CREATE UNIQUE INDEX ON {child} ({unique})"] if unique else []),
    ]


def attach(table: LedgerTable, name: str, first: date | None, end: date | None) -> str:
    low = "MINVALUE" if first is None else f"'{id_ranges.first_of(first)}'"
    high = "MAXVALUE" if end is None else f"'{id_ranges.first_of(end)}'"
    return f"ALTER TABLE {table.name} ATTACH PARTITION {table.name}_{name} FOR VALUES FROM ({low}) TO ({high})"


def detach(table: LedgerTable, name: str) -> str:
    return f"ALTER TABLE {table.name} DETACH PARTITION {table.name}_{name}"


def rename(table: LedgerTable, name: str, new_name: str) -> str:
    return f"ALTER TABLE {table.name}_{name} RENAME TO {table.name}_{new_name}"


def drop(table: LedgerTable, name: str) -> str:
    return f"DROP TABLE {table.name}_{name}"


def lock(name: str) -> str:
    """One partition's three tables. Who reads or writes other days does not wait."""
    children = ", ".join(f"{table.name}_{name}" for table in LEDGER)
    return f"LOCK TABLE {children} IN ACCESS EXCLUSIVE MODE"


def truncate(name: str) -> str:
    return "TRUNCATE {}".format(", ".join(f"{table.name}_{name}" for table in LEDGER))


def count(table: LedgerTable, name: str) -> str:
    return f"SELECT count(*) FROM {table.name}_{name}"  # noqa: S608 - our own names


def is_empty(name: str) -> str:
    looks = (f"NOT EXISTS (SELECT FROM {table.name}_{name})" for table in LEDGER)
    return f"SELECT {' AND '.join(looks)}"


def newest(table: LedgerTable, name: str) -> str:
    return f"SELECT {table.key} FROM {table.name}_{name} ORDER BY {table.key} DESC LIMIT 1"  # noqa: S608 - our own names


def may_go(name: str) -> str:
    """Whether a partition holds nothing that is owed, and nothing that was tried within the time for which the log is
    kept. Two looks at indexes: it is asked while the partition is locked."""
    return f"""
    SELECT NOT EXISTS (SELECT FROM deliveries_laneentry WHERE delivery_id BETWEEN %(low)s AND %(high)s)
    AND NOT EXISTS (SELECT FROM deliveries_attempt_{name} WHERE id >= %(since_id)s AND started_at >= %(since)s)
    """  # noqa: S608 - our own names
