"""Postgres restarts, is killed, ends sessions, is slow or held up by a lock: callers are told, and nothing is lost."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import psycopg
import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.provider import Place, Provider
from tests.acceptance.stack import wait_until

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

PATIENCE_S = 90.0
NUMBERS = count()
HELD_S = 6.0
END_SESSIONS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
)
SLOW = """
CREATE OR REPLACE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_sleep(0.02); RETURN NEW; END $$
"""

HOLD_UP = """
-- Who has picked from a lane, and writes that down, waits.
CREATE OR REPLACE FUNCTION hold_up() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN IF NEW.lease_token IS NOT NULL THEN PERFORM pg_advisory_xact_lock_shared(4711); END IF; RETURN NEW; END $$
"""


@pytest.fixture(scope="module")
def hurt(start: Start) -> Provider:
    return start(RETRY_SCHEDULE="1,1,1,1,1,1")


@pytest.fixture
def busy(hurt: Provider) -> list[Place]:
    """Five endpoints that fail now and then."""
    names = [f"busy-{next(NUMBERS)}" for _ in range(5)]
    places = [hurt.add_endpoint(hurt.add_merchant(name), name) for name in names]
    for place in places:
        hurt.recorder.behave(f"/{place.name}/", failing=0.2, delay_s=0.1)
    return places


@contextmanager
def traffic(hurt: Provider, places: list[Place]) -> Iterator[None]:
    """A stream of single events and batches, each insisted on."""
    stopping = threading.Event()
    troubles: list[Exception] = []

    def publish() -> None:
        try:
            while not stopping.wait(0.05):
                for place in places:
                    hurt.publish_one(place.merchant)
                    hurt.publish(place.merchant, 5)
        except Exception as trouble:  # noqa: BLE001 - told where the test can fail
            troubles.append(trouble)

    publishers = [threading.Thread(target=publish) for _ in range(2)]
    for publisher in publishers:
        publisher.start()
    try:
        yield
    finally:
        stopping.set()
        for publisher in publishers:
            publisher.join()
    assert troubles == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_postgres_restarts_under_traffic(hurt: Provider, busy: list[Place], number: signal.Signals) -> None:
    with traffic(hurt, busy):
        for _ in range(3):
            time.sleep(2)
            hurt.stack.restart_postgres(number)
    hurt.wait_for_end(seconds=PATIENCE_S)
    hurt.ledger().check()
    assert not [answer for answer in hurt.answers if answer.endswith((" 500", " 502"))]


def test_sessions_end_in_the_middle_of_everything(hurt: Provider, busy: list[Place]) -> None:
    with traffic(hurt, busy):
        until = time.monotonic() + 8
        while time.monotonic() < until:
            hurt.stack.sql(END_SESSIONS)
            time.sleep(0.3)
    hurt.wait_for_end(seconds=PATIENCE_S)
    hurt.ledger().check()
    assert not [answer for answer in hurt.answers if answer.endswith((" 500", " 502"))]


def test_a_slow_postgres_only_takes_longer(hurt: Provider, busy: list[Place]) -> None:
    with psycopg.connect(hurt.stack.database_url, autocommit=True) as connection:
        connection.execute(SLOW)
        connection.execute(
            "CREATE TRIGGER slow BEFORE INSERT ON deliveries_attempt FOR EACH ROW EXECUTE FUNCTION be_slow()"
        )
        try:
            for place in busy:
                hurt.publish(place.merchant, 200)
            hurt.wait_for_end(seconds=PATIENCE_S)
        finally:
            connection.execute("DROP TRIGGER slow ON deliveries_attempt")
    hurt.ledger().check()


@pytest.mark.parametrize(
    "lock",
    [
        "LOCK TABLE deliveries_event IN ACCESS EXCLUSIVE MODE",
        "LOCK TABLE deliveries_lane IN ACCESS EXCLUSIVE MODE",
        "LOCK TABLE deliveries_attempt IN ACCESS EXCLUSIVE MODE",
        "LOCK TABLE subscriptions_endpoint IN ACCESS EXCLUSIVE MODE",
        "SELECT FROM deliveries_lane FOR UPDATE",
        "SELECT FROM subscriptions_endpoint FOR UPDATE",
        "SELECT FROM deliveries_delivery FOR UPDATE",
        "SELECT FROM deliveries_hourlycount FOR UPDATE",
    ],
)
def test_a_lock_that_somebody_holds_for_seconds_loses_and_doubles_nothing(
    hurt: Provider, busy: list[Place], lock: str
) -> None:
    interrupted = hurt.ledger().summary()["attempts interrupted"]
    with traffic(hurt, busy):
        time.sleep(1)
        with psycopg.connect(hurt.stack.database_url) as connection:
            connection.execute(lock)
            time.sleep(HELD_S)
    hurt.wait_for_end(seconds=PATIENCE_S)
    ledger = hurt.ledger()
    ledger.check()
    assert ledger.summary()["attempts interrupted"] == interrupted


def test_nothing_is_sent_to_an_endpoint_that_was_closed_while_a_drain_was_held_up(
    hurt: Provider, busy: list[Place]
) -> None:
    """The drain had read the endpoint as open, and then waited seconds for a lock."""
    for place in busy:
        hurt.publish(place.merchant, 1)
    hurt.wait_for_end(seconds=PATIENCE_S)
    before = hurt.recorder.count()
    with (
        psycopg.connect(hurt.stack.database_url, autocommit=True) as connection,
        psycopg.connect(hurt.stack.database_url, autocommit=True) as holder,
    ):
        connection.execute(HOLD_UP)
        connection.execute(
            "CREATE TRIGGER held_up BEFORE UPDATE ON deliveries_lane FOR EACH ROW EXECUTE FUNCTION hold_up()"
        )
        holder.execute("SELECT pg_advisory_lock(4711)")
        for place in busy:
            hurt.publish(place.merchant, 3)
        waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted"
        wait_until(lambda: bool(hurt.stack.sql(waiting)), seconds=10, what="a drain is held up")
        for place in busy:
            hurt.disable(place)
        time.sleep(HELD_S)
        holder.close()
        hurt.wait_for_end(seconds=PATIENCE_S)
        connection.execute("DROP TRIGGER held_up ON deliveries_lane")
    hurt.ledger().check()
    assert hurt.recorder.count() == before
