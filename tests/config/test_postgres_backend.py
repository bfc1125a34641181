"""The kept connection: used without asking while nothing is wrong, replaced as soon as something is."""

import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import connections

from subscriptions import kept_plans

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def kept() -> Iterator[Any]:
    """A second connection to the tests' database, with Django's health checks as in production."""
    own: Any = connections["default"].copy()
    own.settings_dict["CONN_HEALTH_CHECKS"] = True
    own.ensure_connection()
    own.health_check_enabled = True
    yield own
    own.close()


def process_of(wrapper: Any) -> int:
    with wrapper.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def end_session(process: int) -> None:
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [process])
    time.sleep(0.05)


def test_nothing_is_asked_of_a_connection_that_is_silent(kept: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    process = process_of(kept)
    with monkeypatch.context() as patch:
        patch.setattr(psycopg.Cursor, "execute", pytest.fail)
        patch.setattr(psycopg.ClientCursor, "execute", pytest.fail)
        assert kept.is_usable()
    assert process_of(kept) == process


def test_one_that_the_server_has_ended_is_replaced(kept: Any) -> None:
    process = process_of(kept)
    end_session(process)
    assert not kept.is_usable()
    kept.health_check_done = False
    assert process_of(kept) != process


def test_one_that_was_closed_here_is_not_usable(kept: Any) -> None:
    assert kept.connection is not None
    kept.connection.close()
    assert not kept.is_usable()


def test_a_word_from_the_server_that_is_no_end_keeps_it(kept: Any) -> None:
    process = process_of(kept)
    with kept.cursor() as cursor:
        cursor.execute("LISTEN word")
    with connections["default"].cursor() as cursor:
        cursor.execute("NOTIFY word")
    time.sleep(0.05)
    assert kept.is_usable()
    assert process_of(kept) == process


def test_a_statement_with_a_kept_plan_comes_back_after_the_server_ended_the_session() -> None:
    own: Any = connections["default"]
    assert kept_plans.fetch_one("SELECT %s::int + 1", [1]) == (2,)
    process = process_of(own)
    with psycopg.connect(
        **{k: v for k, v in own.get_connection_params().items() if k in ("host", "user", "dbname", "port")}
    ) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [process])
    time.sleep(0.05)
    own.health_check_enabled, own.health_check_done = True, False
    own.settings_dict["CONN_HEALTH_CHECKS"] = True
    assert kept_plans.fetch_one("SELECT %s::int + 1", [2]) == (3,)
    assert process_of(own) != process
