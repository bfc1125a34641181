"""Probes tell the truth about this process, whatever host name and state they meet."""

import os
import socket
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from django.test import Client

from config import health
from config.observability.pulse import Pulse
from deliveries import progress
from deliveries.models import Heartbeat, Lane
from deliveries.selectors import heartbeats
from deliveries.services import heartbeats as beating
from dispatcher.ids import new_id


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    progress.reset()
    monkeypatch.setattr(health.Migrations, "_known", False)


@pytest.mark.django_db
def test_ready_when_the_database_has_every_migration(client: Client) -> None:
    answer = client.get("/readyz")

    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "checks": {"database": "ok", "redis": "ok", "deliveries": "ok"}}
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.django_db
def test_probes_come_by_any_host_name_and_are_not_redirected(client: Client, settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True

    assert client.get("/readyz", headers={"host": "203.0.113.9"}).status_code == 200
    assert client.get("/livez", headers={"host": "203.0.113.9"}).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_not_ready_while_a_migration_is_missing(client: Client) -> None:
    call_command("migrate", "sessions", "zero", verbosity=0)
    try:
        answer = client.get("/readyz")
    finally:
        call_command("migrate", "sessions", verbosity=0)

    assert answer.status_code == 503
    assert answer.json()["checks"]["database"] == "migrations are missing"


def test_not_ready_without_a_database_but_alive(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise DatabaseError

    monkeypatch.setattr(connection, "cursor", refuse)

    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["database"] == "unreachable"
    assert client.get("/livez").status_code == 200


@pytest.mark.django_db
def test_ready_without_redis_because_publishing_works(client: Client, settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    health._redis.cache_clear()
    try:
        answer = client.get("/readyz")
    finally:
        health._redis.cache_clear()

    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "checks": {"database": "ok", "redis": "unreachable", "deliveries": "ok"}}


def make_due(*, seconds: float, **lane: Any) -> None:
    """A lane that has been due for so long."""
    Lane.objects.create(endpoint_id=new_id(), due_at=datetime.now(UTC) - timedelta(seconds=seconds), **lane)


def make_node(kind: str = "drain", *, idle_s: float, host: str = "there", silent_s: float = 0) -> None:
    beating.beat(node=f"{kind}@{host}", kind=kind, pid=1, age_s=1000, progress_age_s=idle_s)
    late = datetime.now(UTC) - timedelta(seconds=silent_s)
    if silent_s:
        Heartbeat.objects.filter(node=f"{kind}@{host}").update(beat_at=late)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("due_s", "idle_s", "is_good"),
    [(90, 90, False), (90, 5, True), (30, 90, True), (90, None, False), (0, None, True)],
    ids=["stalled", "a backlog", "just due", "no drain was ever there", "nothing is due"],
)
def test_not_ready_while_deliveries_stall(client: Client, due_s: int, idle_s: int | None, is_good: bool) -> None:
    if due_s:
        make_due(seconds=due_s)
    if idle_s is not None:
        make_node(idle_s=idle_s)

    answer = client.get("/readyz")

    assert answer.status_code == (200 if is_good else 503)
    state = answer.json()["checks"]["deliveries"]
    expected = "ok" if is_good else f"stalled: a lane has been due for {due_s} s, and no drain took a turn meanwhile"
    assert state == expected


@pytest.mark.django_db
def test_a_router_that_leaves_deliveries_out_goes_on_publishing_while_they_stall(client: Client) -> None:
    make_due(seconds=90)

    answer = client.get("/readyz?exclude=deliveries")

    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"
    assert answer.json()["checks"]["deliveries"].startswith("stalled: ")
    assert client.get("/livez").status_code == 200
    assert client.get("/readyz?exclude=database").status_code == 503


@pytest.mark.django_db
def test_lanes_that_are_served_or_held_back_are_not_due() -> None:
    later = datetime.now(UTC) + timedelta(minutes=1)
    make_due(seconds=90, lease_token=new_id(), leased_until=later)
    make_due(seconds=90, paced_until=later)
    assert heartbeats.flow() == heartbeats.Flow(0.0, None)

    make_due(seconds=70, lease_token=new_id(), leased_until=datetime.now(UTC) - timedelta(seconds=1))
    assert round(heartbeats.flow().oldest_due_s) == 70


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("kind", "idle_s", "due_s", "state"),
    [
        ("drain", 90, 80, "stalled: no turn for 90 s, and a lane has been due for 80 s"),
        ("drain", 90, 0, "ok"),
        ("drain", 10, 80, "ok"),
        ("tasks", 90, 80, "ok"),
        ("beat", 90, 0, "stalled: no tick for 90 s"),
        ("beat", 10, 0, "ok"),
    ],
)
def test_a_worker_is_alive_while_a_restart_would_not_help(kind: str, idle_s: float, due_s: float, state: str) -> None:
    class Node:
        def __init__(self) -> None:
            self.kind, self.idle_s = kind, idle_s

    if due_s:
        make_due(seconds=due_s)

    live, ready = health.of_worker(Node(), is_whole=False), health.of_worker(Node(), is_whole=True)

    assert live.checks == {"node": state}
    assert ready.checks == {"node": state, "database": "ok"}
    assert live.status == ready.status == (200 if state == "ok" else 503)


@pytest.mark.django_db
def test_a_worker_that_hears_no_bell_because_redis_is_gone_is_alive(settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    health._redis.cache_clear()
    make_due(seconds=90)
    pulse = Pulse(node="drain@here", kind="drain")
    pulse._began -= 90
    try:
        assert health.of_worker(pulse, is_whole=False).status == 200
    finally:
        health._redis.cache_clear()
    settings.REDIS_URL = os.environ["REDIS_URL"]
    assert health.of_worker(pulse, is_whole=False).status == 503


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("nodes", "complaint"),
    [
        ([], "No worker of here has been heard of."),
        ([{"kind": "beat", "idle_s": 1}], "No worker of here has been heard of."),
        ([{"kind": "drain", "idle_s": 1, "host": "elsewhere"}], "No worker of here has been heard of."),
        ([{"kind": "drain", "idle_s": 1, "silent_s": 40}], "drain@here: silent for 40 s"),
        (
            [{"kind": "drain", "idle_s": 90}],
            "drain@here: stalled: no turn for 90 s, and a lane has been due for 80 s",
        ),
        ([{"kind": "drain", "idle_s": 5}, {"kind": "tasks", "idle_s": 5}], ""),
    ],
)
def test_the_probe_of_a_container_tells_what_is_wrong(
    nodes: list[dict[str, Any]], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make_due(seconds=80)
    for node in nodes:
        make_node(**{"host": "here", **node})
    if complaint:
        with pytest.raises(CommandError) as refusal:
            call_command("probe", "worker", "--host", "here")
        assert str(refusal.value) == complaint
    else:
        call_command("probe", "worker", "--host", "here")
        assert capsys.readouterr().out == "ok: drain@here, tasks@here\n"


@pytest.mark.django_db
def test_the_probe_of_beat_looks_at_its_last_tick() -> None:
    make_node("beat", idle_s=1, host=socket.gethostname())
    call_command("probe", "beat")
    make_node("beat", idle_s=90, host=socket.gethostname())
    with pytest.raises(CommandError, match="stalled: no tick for 90 s"):
        call_command("probe", "beat")
