"""What Prometheus reads is exact, costs little, and is told to nobody without the token."""

import http.client
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from config.observability import platform as platform_page
from config.observability.exposition import exposition
from config.observability.port import serve
from deliveries import metrics
from deliveries.doorbell import Doorbell
from deliveries.engine import process
from deliveries.models import Lane, LaneEntry
from deliveries.selectors import platform
from deliveries.services import NewEvent, publish, publish_batch
from deliveries.services.heartbeats import beat
from deliveries.services.statistics import roll_up
from dispatcher.ids import new_id
from dispatcher.outcomes import Reason
from subscriptions.errors import Invalid
from tests.observability.conftest import BROKEN, Shop
from tests.receivers.scripts import keep_alive
from tests.statements import counting_statements
from tests.subscriptions.conftest import Api, Person

TOKEN = "a-token-of-the-tests"
Values = dict[str, float]


def values(text: bytes) -> Values:
    """Each sample by its name and labels, as `name{label="value"}`."""
    found: Values = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


@pytest.fixture
def grown() -> Callable[[], Values]:
    """By how much each number of this process has grown since the test began; those that have not are left out."""
    before = values(exposition(with_platform=False))

    def since() -> Values:
        now = values(exposition(with_platform=False))
        return {name: value - before.get(name, 0.0) for name, value in now.items() if value != before.get(name, 0.0)}

    return since


def test_nobody_sees_the_metrics_without_the_token(client: Client, db: None, settings: Any) -> None:
    settings.DEBUG, settings.METRICS_TOKEN = False, TOKEN
    for headers in ({}, {"Authorization": "Bearer another"}, {"Authorization": f"Basic {TOKEN}"}):
        answer = client.get("/metrics", headers=headers)
        assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
        assert b"signet_" not in answer.content

    answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}", "Host": "203.0.113.9"})
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain; version=0.0.4")
    assert answer["Cache-Control"] == "no-store"
    assert values(answer.content)["signet_stalled"] == 0


def test_without_a_token_there_are_metrics_in_development_only(client: Client, db: None, settings: Any) -> None:
    settings.METRICS_TOKEN, settings.ALLOWED_HOSTS = "", ["testserver"]
    settings.DEBUG = True
    assert client.get("/metrics").status_code == 200
    settings.DEBUG = False
    assert client.get("/metrics").status_code == 404
    assert client.post("/metrics").status_code == 404


def test_publishing_is_counted_by_what_came_of_it(shop: Shop, grown: Callable[[], Values]) -> None:
    shop.add("invoice.paid")
    publish("invoice.paid", {}, merchant="shop", idempotency_key="once")
    publish("invoice.paid", {}, merchant="shop", idempotency_key="once")
    publish_batch([NewEvent("invoice.paid", b"{}", "shop")] * 3, scope="x", now=datetime.now(UTC))
    with pytest.raises(Invalid):
        publish("invoice.paid", {}, merchant="nobody")

    found = grown()
    assert found['signet_events_total{result="accepted"}'] == 4
    assert found['signet_events_total{result="duplicate"}'] == 1
    assert found["signet_deliveries_owed_total"] == 4
    assert found['signet_publish_refusals_total{code="invalid"}'] == 1
    assert found['signet_publish_seconds_count{size="one"}'] == 2
    assert found['signet_publish_seconds_count{size="batch"}'] == 1


def test_attempts_are_counted_by_reason_and_deliveries_by_their_end(
    shop: Shop, grown: Callable[[], Values], settings: Any
) -> None:
    settings.RETRY_SCHEDULE = ()
    shop.add("invoice.paid")
    shop.add("invoice.lost", keep_alive(BROKEN))
    for _ in range(3):
        publish("invoice.paid", {}, merchant="shop")
    publish("invoice.lost", {}, merchant="shop")
    process.drain()

    found = grown()
    assert found['signet_attempts_total{reason="delivered"}'] == 3
    assert found['signet_attempts_total{reason="http_server_error"}'] == 1
    assert found['signet_deliveries_ended_total{status="delivered"}'] == 3
    assert found['signet_deliveries_ended_total{status="failed"}'] == 1
    assert found["signet_attempt_seconds_count"] == found["signet_attempt_delay_seconds_count"] == 4
    assert found['signet_attempt_seconds_bucket{le="+Inf"}'] == 4
    assert found["signet_drains_total"] == 1
    assert found["signet_turns_total"] >= 2
    assert "signet_leases_lost_total" not in found


def test_a_group_is_observed_as_each_of_it_would_be() -> None:
    amounts = [0.0, 0.001, 0.0011, 0.5, 7.0, 10.0, 11.0, 1000.0]
    registry = CollectorRegistry()
    one = metrics.GroupHistogram("one", "x", buckets=metrics.ATTEMPT_BOUNDS_S, registry=registry)
    all_at_once = metrics.GroupHistogram("all", "x", buckets=metrics.ATTEMPT_BOUNDS_S, registry=registry)
    for amount in amounts:
        one.observe(amount)
    all_at_once.observe_all(amounts)
    all_at_once.observe_all([])

    told = values(generate_latest(registry))
    ones = {name.removeprefix("one"): value for name, value in told.items() if name.startswith("one")}
    assert ones == {name.removeprefix("all"): value for name, value in told.items() if name.startswith("all")}
    assert ones["_count"] == len(amounts)


def test_a_doorbell_that_nobody_answers_is_counted(grown: Callable[[], Values]) -> None:
    assert Doorbell("redis://127.0.0.1:1/0").ring() is False
    assert grown() == {"signet_doorbell_failures_total": 1}


def test_requests_are_counted_by_route_and_not_by_what_callers_make_up(
    alice: Person, provider: Api, grown: Callable[[], Values]
) -> None:
    alice.api.get("/endpoints")
    alice.api("BREW", "/endpoints")
    Client().get("/one")
    Client().get("/another")

    found = grown()
    route = "api/v2/webhooks/endpoints"
    assert found[f'signet_http_requests_total{{method="GET",route="{route}",status="200"}}'] == 1
    assert found[f'signet_http_requests_total{{method="other",route="{route}",status="405"}}'] == 1
    assert found['signet_http_requests_total{method="GET",route="none",status="404"}'] == 2
    assert found[f'signet_http_request_seconds_count{{route="{route}"}}'] == 2


def test_to_be_watched_costs_no_statement(shop: Shop) -> None:
    """Neither a drain nor a publish asks Postgres for anything more."""
    shop.add("invoice.paid")
    publish("invoice.paid", {}, merchant="shop")
    process.drain()
    publish("invoice.paid", {}, merchant="shop")
    with counting_statements() as seen:
        process.drain()
    assert not [text for text in seen if "heartbeat" in text or "traceparent =" in text]
    with counting_statements() as seen:
        publish("invoice.paid", {}, merchant="shop")
    assert len(seen) == 2, seen


@pytest.fixture
def now(db: None) -> datetime:
    return datetime.now(UTC)


def make_lane(now: datetime, *, entries: int = 0, entry_due_s: float = 0, **fields: Any) -> Lane:
    lane = Lane.objects.create(endpoint_id=new_id(), **fields)
    due_at = now + timedelta(seconds=entry_due_s)
    LaneEntry.objects.bulk_create(
        LaneEntry(delivery_id=new_id(), endpoint_id=lane.endpoint_id, due_at=due_at, trigger="event")
        for _ in range(entries)
    )
    return lane


def test_lanes_are_told_by_what_they_wait_for(now: datetime) -> None:
    ago, later = now - timedelta(seconds=5), now + timedelta(minutes=1)
    make_lane(now)
    make_lane(now, due_at=ago, entries=2, entry_due_s=-5)
    make_lane(now, due_at=later, entries=1, entry_due_s=60)
    make_lane(now, due_at=later, open_until=later, open_s=30, is_suspect=True)
    held = make_lane(
        now, due_at=later, lease_token=new_id(), leased_until=later, in_flight=[], entries=3, entry_due_s=-1
    )
    in_flight = list(LaneEntry.objects.filter(endpoint_id=held.endpoint_id).values_list("delivery_id", flat=True)[:2])
    Lane.objects.filter(endpoint_id=held.endpoint_id).update(in_flight=in_flight, due_at=now + timedelta(seconds=20))
    make_lane(now, due_at=ago, lease_token=new_id(), leased_until=ago)

    lanes = platform.lanes()
    assert lanes.by_state == {"idle": 1, "due": 1, "waiting": 1, "open": 1, "serving": 1, "abandoned": 1}
    assert (lanes.suspects, lanes.in_flight) == (1, 2)
    # Two wait for a drain, and one behind the two that its lane has in the air.
    assert platform.due_deliveries(longest_attempt_s=10) == 3


def test_what_is_due_is_counted_up_to_a_bound(now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    make_lane(now, due_at=now, entries=30, entry_due_s=-1)
    make_lane(now, due_at=now, entries=30, entry_due_s=-1)
    monkeypatch.setattr(platform, "DUE_MOST", 40)
    assert platform.due_deliveries(longest_attempt_s=10) == 40


def test_the_hour_is_told_once_it_is_rolled_up(shop: Shop) -> None:
    shop.add("invoice.paid")
    for _ in range(3):
        publish("invoice.paid", {}, merchant="shop")
    process.drain()
    assert platform.waiting_counts() >= 1
    roll_up()
    assert platform.this_hour() == platform.Hour(attempts=3, delivered=3, failed=0)
    assert platform.waiting_counts() == 0


def test_nodes_are_told_alive_and_dead(now: datetime) -> None:
    beat(node="drain@a", kind="drain", pid=1, age_s=100, progress_age_s=40)
    found = values(exposition(with_platform=True))
    assert found['signet_nodes{kind="drain"}'] == 1
    assert found['signet_nodes{kind="tasks"}'] == found['signet_nodes{kind="beat"}'] == 0
    assert round(found['signet_node_idle_seconds{kind="drain",node="drain@a"}']) == 40


def test_a_question_that_takes_too_long_is_given_up_and_the_others_are_answered(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dawdle() -> list[Any]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(30)")
        return []

    monkeypatch.setattr(platform_page, "QUESTION_MS", 50)
    # An aborted test transaction would answer nothing more; a platform's own connection is replaced.
    monkeypatch.setattr(connection, "close", lambda: None)
    monkeypatch.setitem(platform_page.QUESTIONS, "lanes", dawdle)
    found = values(exposition(with_platform=True))

    assert found['signet_question_failed{question="lanes"}'] == 1
    assert found['signet_question_failed{question="due"}'] == 0
    assert found["signet_due_deliveries"] == 0
    assert 'signet_lanes{state="due"}' not in found


def test_processes_add_up_and_the_dead_stay_counted(tmp_path: Path) -> None:
    """Each with its own files, in one directory."""
    script = "from deliveries import metrics; metrics.TURNS.inc(2); metrics.ATTEMPTS_BY_REASON['delivered'].inc()"
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "counts")}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", script], env=environment, check=True, cwd=Path(__file__).parents[2])
    ask = (
        "import django; django.setup(); from config.observability.exposition import exposition;"
        "print(exposition(with_platform=False).decode())"
    )
    told = subprocess.run(
        [sys.executable, "-c", ask], env=environment, check=True, cwd=Path(__file__).parents[2], capture_output=True
    )

    found = values(told.stdout)
    assert found["signet_turns_total"] == 4
    assert found['signet_attempts_total{reason="delivered"}'] == 2
    assert found[f'signet_attempts_total{{reason="{Reason.INTERRUPTED.value}"}}'] == 0


class Node:
    kind, idle_s = "tasks", 0.0


@pytest.fixture
def port(settings: Any, transactional_db: None) -> Iterator[int]:
    settings.METRICS_PORT, settings.METRICS_HOST = free_port(), "127.0.0.1"
    server = serve(Node())
    assert server is not None
    yield settings.METRICS_PORT
    server.shutdown()
    server.server_close()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def ask(port: int, path: str, **headers: str) -> tuple[int, bytes]:
    caller = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        caller.request("GET", path, headers=headers)
        answer = caller.getresponse()
        return answer.status, answer.read()
    finally:
        caller.close()


def test_a_workers_port_tells_its_own_numbers_and_how_it_is(port: int, settings: Any) -> None:
    assert ask(port, "/livez") == (200, b'{"status": "ok", "checks": {"node": "ok"}}')
    assert ask(port, "/readyz") == (200, b'{"status": "ok", "checks": {"node": "ok", "database": "ok"}}')
    assert ask(port, "/")[0] == 404
    status, text = ask(port, "/metrics")
    assert status == 200
    assert "signet_turns_total" in values(text)
    # The platform's own numbers are the web's to tell.
    assert "signet_oldest_due_seconds" not in values(text)

    settings.METRICS_TOKEN = TOKEN
    assert ask(port, "/metrics")[0] == 401
    assert ask(port, "/metrics", Authorization=f"Bearer {TOKEN}")[0] == 200
    assert ask(port, "/livez")[0] == 200


def test_a_port_that_is_taken_keeps_no_worker_from_working(port: int) -> None:
    assert serve(Node()) is None
