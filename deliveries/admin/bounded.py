"""Reads for pages that are given up when they take too long: the database is there for senders first."""

from collections.abc import Callable
from typing import TypeVar

from django.db import OperationalError, connection, transaction
from psycopg.errors import QueryCanceled

T = TypeVar("T")

MOST_S = 2
# Of one statement of one part of a page. All of them together take milliseconds on a healthy system.


def bounded(read: Callable[[], T]) -> T | None:
    """What it reads; None when a statement of it took longer than MOST_S."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{MOST_S}s"])
            return read()
    except OperationalError as trouble:
        if not isinstance(trouble.__cause__, QueryCanceled):
            raise
        return None
