"""Runs the statements of the busiest routes as prepared ones, whose plan the connection keeps.

Only for statements whose one plan is right for all parameters, such as a look at a unique index or a call of a
function: Postgres plans a prepared statement a few times for its parameters, then once and for all.
"""

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
    # As `connection.cursor()` does it.
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    wrapped = connection.make_debug_cursor if connection.queries_logged else connection.make_cursor
    with wrapped(_Prepared(connection.connection)) as cursor:  # type: ignore[arg-type] # wraps any DB-API cursor
        cursor.execute(sql, params)
        return cast("tuple[Any, ...] | None", cursor.fetchone())
