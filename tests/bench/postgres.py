"""What PostgreSQL spends on a run: processor time, write-ahead log, and the tables' growth."""

from dataclasses import dataclass
from pathlib import Path

from django.db import connection

from tests.bench.processes import TICKS, stats

WRITTEN = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"
SIZES = """
SELECT
    sum(pg_table_size(c.oid))::bigint,
    sum(pg_indexes_size(c.oid))::bigint
FROM pg_class c
WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND c.relname LIKE 'deliveries\\_%'
"""


@dataclass(frozen=True, slots=True)
class Spent:
    """Totals at one moment; a difference of two is what happened in between."""

    cpu_s: float
    wal_bytes: int
    table_bytes: int
    index_bytes: int

    @classmethod
    def read(cls) -> "Spent":
        return cls(cpu_s(), _number(WRITTEN)[0], *_number(SIZES))

    def since(self, before: "Spent") -> "Spent":
        return Spent(*(getattr(self, name) - getattr(before, name) for name in self.__slots__))


def cpu_s() -> float:
    """Processor seconds of the server's processes, those that have ended included."""
    (directory,) = _row("SHOW data_directory")
    postmaster = Path(str(directory), "postmaster.pid").read_text().split("\n", 1)[0]
    return sum(_ticks(stat, postmaster) for stat in stats()) / TICKS


def _ticks(stat: list[str], postmaster: str) -> int:
    """Fields 14 to 17 of proc(5): own time, and that of children whose end was noticed."""
    if stat[0] == postmaster:
        return sum(map(int, stat[12:16]))
    return sum(map(int, stat[12:14])) if stat[2] == postmaster else 0


def _number(question: str) -> tuple[int, ...]:
    return tuple(int(str(value)) for value in _row(question))


def _row(question: str) -> tuple[object, ...]:
    with connection.cursor() as cursor:
        cursor.execute(question)
        return tuple(cursor.fetchone() or ())
