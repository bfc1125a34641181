"""An installation that has a log already: nothing is lost, nothing is copied, and everything is found as before."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import psycopg
import pytest
from django.utils import timezone

from deliveries.id_ranges import delivery_id
from dispatcher.ids import new_id
from tests.ids import id_at

NOW = timezone.now()
OWNER, ENDPOINT = new_id(), new_id()
DATABASE = "before_partitions"


@pytest.fixture
def url() -> Iterator[str]:
    """A database of its own, with the schema as it was before."""
    parts = urlsplit(os.environ["DATABASE_URL"])
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        admin.execute(f"CREATE DATABASE {DATABASE}")
        url = parts._replace(path=f"/{DATABASE}").geturl()
        # An empty host must stay: urlunsplit drops the slashes before it.
        url = url.replace(f"{parts.scheme}:/{DATABASE}", f"{parts.scheme}:///{DATABASE}")
        migrate(url, "deliveries", "0010")
        yield url
        admin.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


def migrate(url: str, *target: str) -> None:
    command = [sys.executable, "manage.py", "migrate", "--no-input", "--verbosity=0", *target]
    done = subprocess.run(command, env=os.environ | {"DATABASE_URL": url}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def insert(other: psycopg.Connection[Any], table: str, **values: Any) -> None:
    names, marks = ", ".join(f'"{name}"' for name in values), ", ".join(["%s"] * len(values))
    other.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(values.values()))


def add(other: psycopg.Connection[Any], event_id: UUID, row_id: UUID, *, endpoint_id: UUID = ENDPOINT) -> None:
    stamps = {"created_at": NOW}
    if other.execute("SELECT FROM deliveries_event WHERE id = %s", [event_id]).fetchone() is None:
        insert(
            other,
            "deliveries_event",
            id=event_id,
            merchant_id=OWNER,
            type="a.b",
            payload=b"{}",
            is_test=False,
            **{"is_live": True, "occurred_at": NOW, **stamps},
        )
    insert(
        other,
        "deliveries_delivery",
        id=row_id,
        event_id=event_id,
        endpoint_id=endpoint_id,
        owner_id=OWNER,
        event_type="a.b",
        **{"status": "pending", "attempts_made": 1, "attempts_counted": 1, "next_attempt_at": NOW, **stamps},
    )
    insert(
        other,
        "deliveries_attempt",
        id=new_id(),
        delivery_id=row_id,
        number=1,
        trigger="event",
        is_counted=True,
        reason="http_gone",
        url="https://r.example/",
        request_headers="",
        response_headers="",
        response_body=b"",
        is_response_truncated=False,
        body_error="",
        detail="",
        peer="",
        total_ms=1,
        started_at=NOW,
    )
    insert(
        other,
        "deliveries_laneentry",
        delivery_id=row_id,
        endpoint_id=endpoint_id,
        due_at=NOW,
        trigger="retry",
    )


@pytest.mark.usefixtures("db")
def test_a_log_that_is_there_already(url: str) -> None:
    old, young, tested = id_at(NOW - timedelta(days=3)), id_at(NOW), id_at(NOW)
    stray = new_id()
    with psycopg.connect(url) as other:
        add(other, old, delivery_id(old, place=1))
        add(other, young, delivery_id(young, place=1))
        add(other, young, delivery_id(young, place=2), endpoint_id=new_id())
        # As the button for tests made them: a delivery with an id of its own.
        add(other, tested, stray)
        flying = [delivery_id(old, place=1), stray]
        insert(
            other,
            "deliveries_lane",
            endpoint_id=ENDPOINT,
            in_flight=flying,
            window=4,
            is_suspect=False,
            lease_token=new_id(),
            leased_until=NOW,
        )
    migrate(url)
    new_home = delivery_id(tested, place=1)
    ids = sorted([*(delivery_id(event, place=1) for event in (old, young, tested)), delivery_id(young, place=2)])
    with psycopg.connect(url) as other:
        for column, table in (
            ("id", "deliveries_delivery"),
            ("delivery_id", "deliveries_attempt"),
            ("delivery_id", "deliveries_laneentry"),
        ):
            assert [row for (row,) in other.execute(f"SELECT {column} FROM {table} ORDER BY 1")] == ids
        assert other.execute("SELECT in_flight FROM deliveries_lane").fetchone() == ([flying[0], new_home],)
        assert {name for (name,) in other.execute("SELECT tableoid::regclass::text FROM deliveries_delivery")} == {
            "deliveries_delivery_early"
        }
        # Today is partly in `early`: the days begin with tomorrow.
        names = [name for (name,) in other.execute(PARTITIONS)]
        days = [NOW.date() + timedelta(days=count) for count in range(1, 9)]
        assert names == [
            f"deliveries_delivery_{name}" for name in (*(f"d{day:%Y%m%d}" for day in days), "early", "late")
        ]
    with psycopg.connect(url) as other, pytest.raises(psycopg.errors.UniqueViolation):
        add(other, old, delivery_id(old, place=7))
    with psycopg.connect(url) as other:
        fresh = id_at(NOW + timedelta(days=2))
        add(other, fresh, delivery_id(fresh, place=1))


PARTITIONS = (
    "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'deliveries_delivery'::regclass ORDER BY 1"
)


@pytest.mark.usefixtures("db")
def test_an_empty_one_begins_today(url: str) -> None:
    migrate(url)
    migrate(url)
    with psycopg.connect(url) as other:
        names = [name for (name,) in other.execute(PARTITIONS)]
    assert len(names) == 11
    assert f"deliveries_delivery_d{NOW:%Y%m%d}" in names


@pytest.mark.usefixtures("db")
def test_the_models_indexes_keep_their_names(url: str) -> None:
    """What later migrations rename or drop is found by them."""
    migrate(url)
    query = """
        SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        JOIN pg_class t ON t.oid = i.indrelid WHERE t.relkind = 'p' ORDER BY 1
    """
    with psycopg.connect(url) as other:
        assert [name for (name,) in other.execute(query)] == [
            *("attempt_number_unique", "deliveries_delivery_pkey", "deliveries_event_pkey", "delivery_by_endpoint"),
            *("delivery_by_owner", "event_by_external_id", "event_by_merchant"),
        ]
