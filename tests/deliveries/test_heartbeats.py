"""Who keeps deliveries moving is to be read from Postgres, by anybody, at any time."""

import time
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context

import pytest
from django.db import connection

from deliveries import progress
from deliveries.models import Heartbeat
from deliveries.selectors import heartbeats
from deliveries.services.heartbeats import beat, leave

pytestmark = pytest.mark.django_db


def test_a_node_is_one_row_however_often_it_beats() -> None:
    beat(node="drain@a", kind="drain", pid=7, age_s=10, progress_age_s=2)
    first = Heartbeat.objects.get()
    beat(node="drain@a", kind="drain", pid=7, age_s=15, progress_age_s=0)
    again = Heartbeat.objects.get()

    assert again.started_at == first.started_at
    assert again.beat_at > first.beat_at
    assert (again.beat_at - again.progressed_at, first.beat_at - first.progressed_at) == (
        timedelta(0),
        timedelta(seconds=2),
    )


def test_a_successor_of_the_same_name_starts_anew_and_outlives_its_forerunners_farewell() -> None:
    beat(node="drain@a", kind="drain", pid=7, age_s=100, progress_age_s=2)
    beat(node="drain@a", kind="drain", pid=8, age_s=0, progress_age_s=0)
    leave(node="drain@a", pid=7)

    row = Heartbeat.objects.get()
    assert (row.pid, row.started_at) == (8, row.beat_at)
    leave(node="drain@a", pid=8)
    assert not Heartbeat.objects.exists()


def test_the_dead_are_seen_for_an_hour_and_then_forgotten() -> None:
    for name, minutes in (("drain@old", 61), ("drain@late", 59)):
        beat(node=name, kind="drain", pid=1, age_s=0, progress_age_s=0)
        Heartbeat.objects.filter(node=name).update(beat_at=datetime.now(UTC) - timedelta(minutes=minutes))

    beat(node="beat@a", kind="beat", pid=1, age_s=0, progress_age_s=0)

    assert [(node.node, node.is_alive) for node in heartbeats.nodes()] == [("beat@a", True), ("drain@late", False)]


def test_workers_are_counted_without_beat_and_without_the_dead() -> None:
    for kind, node in (("drain", "drain@a"), ("tasks", "tasks@a"), ("beat", "beat@a"), ("drain", "drain@b")):
        beat(node=node, kind=kind, pid=1, age_s=20, progress_age_s=3)
    Heartbeat.objects.filter(node="drain@b").update(beat_at=datetime.now(UTC) - timedelta(seconds=17))
    known = heartbeats.nodes()

    assert heartbeats.workers_alive(known) == 2
    assert round(heartbeats.last_tick_s(known) or 0) == 3
    assert heartbeats.last_tick_s([]) is None


def test_a_beat_is_one_statement() -> None:
    with connection.execute_wrapper(counting := Counting()):
        beat(node="drain@a", kind="drain", pid=7, age_s=10, progress_age_s=2)
    assert counting.count == 1


class Counting:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self, execute, sql, params, many, context):  # type: ignore[no-untyped-def]
        self.count += 1
        return execute(sql, params, many, context)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_what_a_pool_process_notes_its_main_process_knows() -> None:
    progress.reset()
    assert progress.age_s() is None
    child = get_context("fork").Process(target=progress.note)
    before = time.monotonic()
    child.start()
    child.join()

    age_s = progress.age_s()
    assert age_s is not None
    assert 0 <= age_s <= time.monotonic() - before
    progress.reset()
