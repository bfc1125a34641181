"""Runs the statements of the busiest routes as prepared ones, whose plan the connection keeps.

Only for statements whose one plan is right for all parameters, such as a look at a unique index or a call of a
function: Postgres plans a prepared statement a few times for its parameters, then once and for all.
"""

import time
from collections.abc import Sequence
from typing import Any, cast

import psycopg
from django.db import connection
from psycopg.abc import Params


class _Prepared(psycopg.Cursor[tuple[Any, ...]]):
    """Django's own cursors put the parameters into the text, so that no two statements are the same."""

    def execute(self, query: Any, params: Params | None = None, **_: Any) -> "_Prepared":
        return super().execute(query, params, prepare=True)


def fetch_one(sql: str, params: Sequence[Any]) -> tuple[Any, ...] | None:
    """The first row, if any. Raises Django's database errors, and is seen by whoever counts queries."""
    rows = fetch_all(sql, params)
    return rows[0] if rows else None


def fetch_all(sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    """All rows; the same otherwise."""
    # As `connection.cursor()` does it.
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    with connection.make_cursor(_Prepared(connection.connection)) as cursor:  # type: ignore[arg-type] # any DB-API cursor
        began = time.monotonic()
        cursor.execute(sql, params)
        if connection.queries_logged:
            # Django's own debugging cursor asks for what only its other cursors know.
            connection.queries_log.append({"sql": sql, "time": f"{time.monotonic() - began:.3f}"})
        return cast("list[tuple[Any, ...]]", cursor.fetchall())
