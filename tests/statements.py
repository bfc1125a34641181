"""Counts what reaches Postgres, by whatever road: Django's cursors and our prepared statements alike."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest


@contextmanager
def counting_statements() -> Iterator[list[str]]:
    """The texts of the statements that this process sends meanwhile, BEGIN and COMMIT left out."""
    seen: list[str] = []
    execute = psycopg.Cursor.execute

    def spy(cursor: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(str(query))
        return execute(cursor, query, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psycopg.Cursor, "execute", spy)
        yield seen
