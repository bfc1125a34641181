"""Turns a broken unique constraint into the refusal that it stands for."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import IntegrityError, transaction
from psycopg.errors import UniqueViolation

from subscriptions.errors import Conflict


@contextmanager
def refuse_duplicate(constraint: str, detail: str, *, code: str) -> Iterator[None]:
    """Raises Conflict when the writes inside break `constraint`; they are undone, the transaction around goes on."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as trouble:
        cause = trouble.__cause__
        if isinstance(cause, UniqueViolation) and cause.diag.constraint_name == constraint:
            raise Conflict(detail, code=code) from None
        raise
