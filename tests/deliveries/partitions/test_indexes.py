"""Each index has a query that needs it, and docs/storage.md names all of them: no more, no fewer."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from deliveries.engine.store import Store
from deliveries.models import Attempt, Delivery, Event, HourlyCount, Replay
from deliveries.selectors import events, exports, log, replays, statistics
from deliveries.selectors.failing import failing
from deliveries.services import NewEvent, publish_batch, retention
from deliveries.services import exports as exporting
from deliveries.services import expunges as expunging
from deliveries.services import replays as replaying
from deliveries.services.statistics import roll_up
from dispatcher.ids import new_id
from dispatcher.latencies import CLASSES
from dispatcher.outcomes import Reason
from subscriptions.models import Endpoint, Merchant
from tests.deliveries.engine.conftest import HandDrain, drain, make_drain, result  # noqa: F401 - fixtures
from tests.deliveries.partitions.conftest import DAY, Make, noon

STORAGE = Path(__file__).parents[3] / "docs" / "storage.md"
NOW = timezone.now()
OTHERS = 2_000
EXPLAINED = ("SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "\n")

INDEXES = """
SELECT c.relname, COALESCE(
    (SELECT up.inhparent::regclass::text FROM pg_inherits up WHERE up.inhrelid = c.oid),
    CASE WHEN t.relispartition THEN (SELECT inhparent::regclass::text FROM pg_inherits WHERE inhrelid = t.oid)
        || ' ' || substring(pg_get_indexdef(c.oid) FROM '\\(.*\\)') END,
    c.relname
)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
WHERE t.relname LIKE 'deliveries\\_%%' AND c.relkind = 'i'
"""
# Indexes by name; those of partitions under the name of the index of the whole, or told by their columns.


def indexes() -> dict[str, str]:
    with connection.cursor() as cursor:
        cursor.execute(INDEXES.replace("%%", "%"))
        return dict(cursor.fetchall())


class Asked:
    """What a call asks of Postgres, through Django or through a drain's own connection."""

    def __init__(self) -> None:
        self.used: set[str] = set()
        self._names = indexes()

    @contextmanager
    def by(self, store: Store | None = None) -> Iterator[None]:
        if store is not None:
            with self._through(store):
                yield
            return
        with CaptureQueriesContext(connection) as seen:
            yield
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            for query in seen.captured_queries:
                # A prepared statement is the call of a function, which is told without its parameters.
                if query["sql"].startswith(EXPLAINED) and "signet_publish_one" not in query["sql"]:
                    cursor.execute(f"EXPLAIN (FORMAT JSON) {query['sql']}")
                    self._note(cursor.fetchone()[0])

    @contextmanager
    def _through(self, store: Store) -> Iterator[None]:
        session = store._open
        execute = session.execute
        session.execute("SET enable_seqscan = off")

        def explain_too(sql: Any, params: Any = None, **kwargs: Any) -> Any:
            if isinstance(sql, str) and sql.startswith(EXPLAINED):
                (plan,) = execute(f"EXPLAIN (FORMAT JSON) {sql}", params).fetchone() or ([],)
                self._note(plan)
            return execute(sql, params, **kwargs)

        session.execute = explain_too  # type: ignore[method-assign,assignment]
        yield
        del session.execute

    def _note(self, plan: Any) -> None:
        told = re.findall(r'"Index Name": "([^"]+)"', json.dumps(plan))
        self.used |= {self._names.get(name, name) for name in told}


@pytest.fixture
def asked(db: None) -> Asked:
    return Asked()


@pytest.fixture
def crowd(db: None) -> None:
    """Others' rows, so many that it matters where one looks."""
    stamps = {"occurred_at": NOW, "created_at": NOW}
    Event.objects.bulk_create(Event(merchant_id=new_id(), type="a.b", payload=b"{}", **stamps) for _ in range(OTHERS))
    HourlyCount.objects.bulk_create(
        HourlyCount(
            hour=noon((NOW - DAY).date()) + timedelta(hours=number % 20),
            endpoint_id=new_id(),
            owner_id=new_id(),
            event_type="a.b",
            attempts=1,
            delivered=1,
            failed=0,
            latencies=[0] * CLASSES,
        )
        for number in range(OTHERS)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE deliveries_event, deliveries_hourlycount")


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deliveries.doorbell.Doorbell.ring", lambda self: True)


def event_by_its_id(asked: Asked, endpoint: Endpoint, owe: Make) -> None:
    event = Event.objects.get(id=owe(NOW).event_id)
    with asked.by():
        events.detail(event.public_id, owner_id=endpoint.owner_id)


def event_by_the_providers_id(asked: Asked, endpoint: Endpoint, owe: Make) -> None:
    owe(NOW)
    Event.objects.update(external_id="order-1")
    with asked.by():
        events.find("order-1", owner_id=None)


def log_of_a_merchant(asked: Asked, endpoint: Endpoint, owe: Make) -> None:
    owe(NOW)
    with asked.by():
        log.read_page(owner_id=endpoint.owner_id, where=log.LogFilter(), before=None, offset=0, limit=51)


def recover(asked: Asked, endpoint: Endpoint, owe: Make) -> None:
    owe(NOW, "failed")
    with asked.by():
        replaying.count(endpoint=endpoint, kind=Replay.Kind.RECOVER, since=None, until=None, now=NOW)


def replay_missing(asked: Asked, endpoint: Endpoint, owe: Make) -> None:
    owe(NOW)
    with asked.by():
        replaying.count(endpoint=endpoint, kind=Replay.Kind.MISSING, since=None, until=None, now=NOW)


def attempt_by_its_id(asked: Asked, endpoint: Endpoint, owe: Make) -> None:
    owe(NOW)
    row_id = Attempt.objects.get().id
    with asked.by():
        Attempt.objects.get(id=row_id)


def same_key_again(asked: Asked, endpoint: Endpoint, owe: Make) -> None:
    once = [NewEvent("a.b", b"{}", "alice", idempotency_key="k")]
    publish_batch(once, scope="t", now=NOW)
    with asked.by():
        publish_batch(once, scope="t", now=NOW)


def purge(asked: Asked, endpoint: Endpoint, owe: Make) -> None:
    owe(NOW - 3 * DAY)
    roll_up()
    publish_batch([NewEvent("a.b", b"{}", "alice", idempotency_key="k")], scope="t", now=NOW)
    with asked.by():
        list(retention.purge(before=NOW, now=NOW + 2 * DAY))


def rolling_up(asked: Asked, endpoint: Endpoint, owe: Make) -> None:
    owe(NOW)
    with asked.by():
        roll_up()


def statistics_of(asked: Asked, endpoint: Endpoint, endpoint_id: Any) -> None:
    owner = HourlyCount.objects.order_by("id")[0]
    HourlyCount.objects.filter(id=owner.id).update(owner_id=endpoint.owner_id, endpoint_id=endpoint.id)
    window = {"since": noon((NOW - DAY).date()), "until": noon((NOW + DAY).date())}
    scope = statistics.Scope(owner_id=endpoint.owner_id, endpoint_id=endpoint_id, event_type=None, **window)
    with asked.by():
        statistics.read(scope, bucket=statistics.Bucket.HOUR)


def statistics_of_a_merchant(asked: Asked, endpoint: Endpoint, owe: Make) -> None:
    statistics_of(asked, endpoint, None)


def statistics_of_an_endpoint(asked: Asked, endpoint: Endpoint, owe: Make) -> None:
    statistics_of(asked, endpoint, endpoint.id)


def replays_of_a_merchant(asked: Asked, endpoint: Endpoint, owe: Make) -> None:
    with asked.by():
        list(replays.of_owner(endpoint.owner_id).order_by("-id")[:50])


def ticks_of_replays(asked: Asked, endpoint: Endpoint, owe: Make) -> None:
    replaying.begin(endpoint=endpoint, kind=Replay.Kind.RECOVER, since=None, until=None, actor="t", now=NOW)
    with asked.by():
        replaying.advance(clock=timezone.now)


def failing_endpoints(asked: Asked, endpoint: Endpoint, owe: Make) -> None:
    with asked.by():
        failing(now=NOW)


def an_export(asked: Asked, endpoint: Endpoint, owe: Make) -> None:
    owe(NOW)
    owner = Merchant.objects.get(id=endpoint.owner_id)
    wanted: dict[str, Any] = {"since": None, "until": None, "include": [], "actor": "t", "now": NOW}
    export = exporting.begin(merchant=owner, format="csv", **wanted)
    with asked.by():
        exporting.advance(clock=timezone.now)
        export.refresh_from_db()
        list(exporting.pieces(export, first=0, last=export.size_bytes - 1))
        list(exports.of_owner(endpoint.owner_id).order_by("-id")[:50])
        exporting.drop_expired(now=timezone.now() + 2 * DAY)


def an_expunge(asked: Asked, endpoint: Endpoint, owe: Make) -> None:
    owe(NOW)
    owner = Merchant.objects.get(id=endpoint.owner_id)
    expunging.expunge_account(merchant=owner, account="a", actor="t", now=NOW)
    with asked.by():
        expunging.advance(clock=timezone.now)


QUERIES: list[tuple[Callable[[Asked, Endpoint, Make], None], set[str]]] = [
    (
        event_by_its_id,
        {"deliveries_event_pkey", "attempt_number_unique"},
    ),
    (event_by_the_providers_id, {"event_by_external_id"}),
    (replay_missing, {"event_by_merchant"}),
    (log_of_a_merchant, {"delivery_by_owner"}),
    (recover, {"delivery_by_endpoint"}),
    (attempt_by_its_id, {"deliveries_attempt (id)"}),
    (same_key_again, {"idempotency_key_unique"}),
    (
        purge,
        {
            *("idempotency_key_expiry", "deliveries_idempotencykey_pkey", "hourly_count_by_hour"),
            "deliveries_hourlycount_pkey",
        },
    ),
    (rolling_up, {"deliveries_countdelta_pkey"}),
    (statistics_of_a_merchant, {"hourly_count_by_owner"}),
    (statistics_of_an_endpoint, {"hourly_count_unique"}),
    (replays_of_a_merchant, {"replay_by_owner"}),
    (ticks_of_replays, {"replay_running", "deliveries_replay_pkey"}),
    (failing_endpoints, {"lane_troubled"}),
    (
        an_export,
        {
            *("export_running", "export_expiry", "export_by_owner", "deliveries_export_pkey"),
            *("export_chunk_once", "deliveries_exportchunk_pkey"),
        },
    ),
    (an_expunge, {"expunge_running", "deliveries_expunge_pkey"}),
]
OF_A_DRAIN = {
    "deliveries_delivery_pkey",
    "deliveries_event_pkey",
    "lane_due",
    "deliveries_lane_pkey",
    "lane_entry_next",
    "deliveries_laneentry_pkey",
}
RULES = {"replay_one_running", "deliveries_heartbeat_pkey", "deliveries_delivery (event_id, endpoint_id)"}
# Unique, and looked at by inserts: test_replays.py, test_heartbeats.py and test_days.py hold them to their promise. An
# event's deliveries are read by the last, or by their ids, which lie beside each other: the planner has the choice.
MADE_ALONG = re.compile(r"_[0-9a-f]{8}(_like)?$")
# Django makes these with a foreign key or a text's primary key, and ends their names so; their tables stay small.


@pytest.mark.django_db
@pytest.mark.parametrize(("query", "needed"), QUERIES, ids=[query.__name__ for query, _ in QUERIES])
def test_the_plan_names_the_index(
    query: Callable[[Asked, Endpoint, Make], None],
    needed: set[str],
    asked: Asked,
    endpoint: Endpoint,
    owe: Make,
    crowd: None,
) -> None:
    query(asked, endpoint, owe)
    assert needed <= asked.used


@pytest.mark.django_db(transaction=True)
def test_a_turn_of_a_drain(asked: Asked, endpoint: Endpoint, drain: HandDrain) -> None:  # noqa: F811 - the fixture
    publish_batch([NewEvent("a.b", b"{}", "alice")] * 3, scope="t", now=NOW)
    with asked.by(drain.store):
        picks = drain.turn(now=timezone.now()).picks
        drain.turn(now=NOW, results=[result(pick, Reason.DELIVERED, now=NOW) for pick in picks])
    assert Delivery.objects.filter(status="delivered").count() == 3
    assert asked.used >= OF_A_DRAIN


@pytest.mark.django_db
def test_no_index_is_there_without_need_and_all_are_written_down() -> None:
    needed = set().union(*(names for _, names in QUERIES)) | OF_A_DRAIN | RULES
    assert {name for name in indexes().values() if not MADE_ALONG.search(name)} == needed
    _, _, told = STORAGE.read_text().partition("## Indexes")
    assert set(re.findall(r"^\| `([^`]+)` \|", told, re.MULTILINE)) == needed
