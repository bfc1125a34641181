"""Chores of which one is enough at a time, however many were asked for."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from subscriptions.advisory_locks import AdvisoryLock


@contextmanager
def alone(chore: AdvisoryLock) -> Iterator[bool]:
    """Whether nobody else does this now. Who dies in the middle lets go of it: Postgres sees the connection end."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [chore])
        is_alone = bool(cursor.fetchone()[0])
    try:
        yield is_alone
    finally:
        if is_alone:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [chore])
