"""Refuses every connection with a sentence that says where a database can come from."""

from typing import Any, Never

from django.db.backends.postgresql.base import DatabaseWrapper as PostgresWrapper
from django.db.utils import OperationalError

SENTENCE = (
    "DATABASE_URL is unset and the embedded PostgreSQL of this checkout is not running: set DATABASE_URL, "
    "or start the embedded one with `make run` or `python manage.py serve`."
)


class DatabaseWrapper(PostgresWrapper):
    def get_new_connection(self, conn_params: dict[str, Any]) -> Never:  # noqa: ARG002 - Django's signature
        raise OperationalError(SENTENCE)
