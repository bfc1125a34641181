"""What lies in the database, of all tables, for tests that say that nothing happened."""

from collections.abc import Iterable
from functools import cache

from django.db import connection

VOLATILE = {"subscriptions_apikey": "last_used_at"}
# Changes with every request and means nothing.


@cache
def tables() -> tuple[str, ...]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
            " WHERE relkind IN ('r', 'p') AND NOT relispartition AND nspname = 'public' ORDER BY 1"
        )
        return tuple(name for (name,) in cursor.fetchall())


def checksums(*, but_not: Iterable[str] = ()) -> dict[str, str]:
    """A checksum of each table that has rows."""
    parts = [
        f"SELECT '{name}', md5(string_agg(({_row(name)})::text, '' ORDER BY ({_row(name)})::text)) FROM {name} t"
        for name in tables()
        if name not in but_not
    ]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts))
        return {name: found for name, found in cursor.fetchall() if found}


def rows_about(words: Iterable[str]) -> dict[str, list[str]]:
    """The rows of each table that hold one of the words, as text."""
    found: dict[str, list[str]] = {}
    wanted = tuple(words)
    with connection.cursor() as cursor:
        for name in tables():
            cursor.execute(f"SELECT ({_row(name)})::text AS x FROM {name} t ORDER BY 1")
            rows = [text for (text,) in cursor.fetchall() if any(word in text for word in wanted)]
            if rows:
                found[name] = rows
    return found


def _row(name: str) -> str:
    return f"to_jsonb(t) - '{VOLATILE[name]}'" if name in VOLATILE else "to_jsonb(t)"
