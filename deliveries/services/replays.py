"""Replays: what failed, what is held or what an endpoint was never owed goes out again, a bounded step at a time."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, connection, transaction

from deliveries import id_ranges
from deliveries.doorbell import wake
from deliveries.models import Delivery, Replay
from deliveries.selectors.log import ID_SLACK
from deliveries.services import lanes, replay_sql
from deliveries.services.replay import begin_again
from dispatcher.ids import first_id
from subscriptions.advisory_locks import AdvisoryLock
from subscriptions.errors import Conflict, FieldError, Invalid
from subscriptions.killpoints import reached
from subscriptions.models import Endpoint
from subscriptions.services import audit

STEP_MOST = 500
# Deliveries made due in one transaction: some tens of milliseconds, in which the lane's row is locked.
LOOK_MOST = {Replay.Kind.RECOVER: 20_000, Replay.Kind.RELEASE: 20_000, Replay.Kind.MISSING: 2_000}
# Rows of the log that one step looks through for those. Of a missing event's it may be so many for each merchant below.
LANE_MOST = 1_000
# A replay waits while so much is due in its lane already: new events stand behind at most this, not behind a million.
SLICE_S = 0.5
# One replay's share of a tick. Others have theirs, and a worker is free again soon.
TICK_S = 5.0
# All of them together. The few workers for chores have others to do, such as the sweep, every few seconds.
RUNNING_MOST = 50
# Replays that one tick advances, those that waited longest first.
SPARED = timedelta(minutes=15)
# Before retention takes an event away, nothing is begun for it any more: hosts' clocks differ, and steps last.
CLOCK_SLACK = timedelta(minutes=15)
# Hosts' clocks differ. Until now means all that is there, also what another host stamped a little later than that.
COUNT_STEPS = 5
# Steps that a count looks ahead: 100,000 rows of the log, less than half a second.

_STATUS = {Replay.Kind.RECOVER: Delivery.Status.FAILED, Replay.Kind.RELEASE: Delivery.Status.HELD}
CLOSED = "endpoint_closed"


@dataclass(frozen=True, slots=True)
class Count:
    """What a replay would send. Not exact: at least so many, there is more log than a count looks through."""

    count: int
    is_exact: bool


@dataclass(frozen=True, slots=True)
class _Found:
    """One step's finds: ids of deliveries, or of events for what is missing; where the next step goes on."""

    ids: list[UUID]
    last: UUID | None
    is_end: bool


def begin(
    *, endpoint: Endpoint, kind: Replay.Kind, since: datetime | None, until: datetime | None, actor: str, now: datetime
) -> Replay:
    """Write down what shall be sent again; ticks do it. `since` is included, `until` is not; None: as far as there is.

    Raises Invalid for a window that is none; Conflict for a closed endpoint, or while one of the kind runs there.
    """
    since, until = _window(since, until, now=now)
    _refuse_closed(endpoint)
    replay = Replay(
        endpoint_id=endpoint.id,
        owner_id=endpoint.owner_id,
        kind=kind,
        since=since,
        until=until,
        actor=actor,
        created_at=now,
        updated_at=now,
    )
    try:
        with transaction.atomic():
            replay.save(force_insert=True)
            _note(replay, "replay.begun", endpoint, actor=actor, now=now)
    except IntegrityError:
        raise Conflict("A replay of this kind is running for this endpoint already.", code="replay_running") from None
    return replay


def count(
    *, endpoint: Endpoint, kind: Replay.Kind, since: datetime | None, until: datetime | None, now: datetime
) -> Count:
    """What `begin` would send, as far as a bounded look tells. Raises Invalid for a window that is none."""
    since, until = _window(since, until, now=now)
    draft = Replay(endpoint_id=endpoint.id, owner_id=endpoint.owner_id, kind=kind, since=since, until=until)
    total = 0
    for _ in range(COUNT_STEPS):
        found = _find(draft, most=LOOK_MOST[kind], now=now)
        total += len(found.ids)
        if found.is_end:
            return Count(total, is_exact=True)
        draft.cursor = found.last
    return Count(total, is_exact=False)


@transaction.atomic
def stop(*, replay_id: UUID, owner_id: UUID, actor: str, now: datetime) -> Replay | None:
    """End a running replay; what it has made due already is sent. None when the owner has no such replay."""
    replay = Replay.objects.select_for_update(no_key=True).filter(id=replay_id, owner_id=owner_id).first()
    if replay is not None and replay.status == Replay.Status.RUNNING:
        _end(replay, Replay.Status.STOPPED, now=now, reason="asked")
        _note(replay, "replay.stopped", Endpoint.objects.get(id=replay.endpoint_id), actor=actor, now=now)
    return replay


def advance(*, clock: Callable[[], datetime]) -> int:
    """One tick: running replays go on for a slice of time each. Returns how many deliveries it made due.

    Any number of ticks may run at once; a replay that another one holds is passed over. One that dies loses nothing:
    the cursor moves with the rows that it stands for.
    """
    running = Replay.objects.filter(status=Replay.Status.RUNNING).order_by("updated_at")
    deadline, sent = time.monotonic() + TICK_S, 0
    for replay_id in running.values_list("id", flat=True)[:RUNNING_MOST]:
        sent += _run_slice(replay_id, clock)
        if time.monotonic() >= deadline:
            break
    return sent


def _run_slice(replay_id: UUID, clock: Callable[[], datetime]) -> int:
    deadline, sent = time.monotonic() + SLICE_S, 0
    while time.monotonic() < deadline:
        step = _step(replay_id, now=clock())
        if step is None:
            break
        sent += step
    return sent


@transaction.atomic
def _step(replay_id: UUID, *, now: datetime) -> int | None:
    """One step; None when there is nothing to do now: it is over, held by another tick, or its lane is full."""
    rows = Replay.objects.select_for_update(no_key=True, skip_locked=True)
    replay = rows.filter(id=replay_id, status=Replay.Status.RUNNING).first()
    if replay is None:
        return None
    endpoint = Endpoint.objects.filter(id=replay.endpoint_id).first()
    if endpoint is None or not endpoint.is_active:
        _end(replay, Replay.Status.STOPPED, now=now, reason=CLOSED)
        return None
    if _is_lane_full(replay, now=now):
        replay.updated_at = now
        replay.save(update_fields=["updated_at"])
        return None
    return _take_step(replay, endpoint, now=now)


def _take_step(replay: Replay, endpoint: Endpoint, *, now: datetime) -> int:
    if replay.kind == Replay.Kind.MISSING:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [AdvisoryLock.OWED_PLACES])
    found = _find(replay, most=STEP_MOST, now=now)
    sent = _send(replay, found.ids, now=now) if found.ids else 0
    replay.sent += sent
    replay.cursor = found.last or replay.cursor
    replay.updated_at = now
    replay.save(update_fields=["sent", "cursor", "updated_at"])
    reached("replay.stepped")
    if found.is_end:
        _end(replay, Replay.Status.FINISHED, now=now)
        _note(replay, "replay.finished", endpoint, actor=replay.actor, now=now)
    return sent


def _is_lane_full(replay: Replay, *, now: datetime) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(replay_sql.LANE_IS_FULL, {"endpoint": replay.endpoint_id, "now": now, "most": LANE_MOST})
        return bool(cursor.fetchone()[0])


def _find(replay: Replay, *, most: int, now: datetime) -> _Found:
    kind = Replay.Kind(replay.kind)
    # Looked at again in every step: a replay may run for days.
    since = max(replay.since, _oldest(now))
    params: dict[str, Any] = {
        "endpoint": replay.endpoint_id,
        "after": replay.cursor or first_id(since, slack=-ID_SLACK),
        "before": first_id(replay.until, slack=ID_SLACK),
        "since": since,
        "until": replay.until,
        "status": _STATUS.get(kind),
        "look": LOOK_MOST[kind],
        "most": most,
    }
    params |= id_ranges.of_all([params["after"], params["before"]]).params
    statement = replay_sql.FIND_MISSING if kind == Replay.Kind.MISSING else replay_sql.FIND_IN_LOG
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return _Found(*cursor.fetchone())


def _send(replay: Replay, ids: list[UUID], *, now: datetime) -> int:
    if replay.kind != Replay.Kind.MISSING:
        return len(begin_again(delivery_ids=ids, endpoint_ids=[replay.endpoint_id], now=now))
    lanes.need([replay.endpoint_id])
    with connection.cursor() as cursor:
        within = id_ranges.of_all(ids).params
        cursor.execute(replay_sql.OWE_MISSING, {"endpoint": replay.endpoint_id, "events": ids, "now": now, **within})
        sent = int(cursor.fetchone()[0])
    endpoints = [replay.endpoint_id]
    transaction.on_commit(lambda: wake(endpoints))
    return sent


def _window(since: datetime | None, until: datetime | None, *, now: datetime) -> tuple[datetime, datetime]:
    """What is asked for, within what can still be there."""
    oldest = _oldest(now)
    since = max(since or oldest, oldest)
    until = now + CLOCK_SLACK if until is None else min(until, now)
    if since >= until:
        raise Invalid(FieldError("/since", "invalid_window", "The window is empty: `since` must be before `until`."))
    return since, until


def _oldest(now: datetime) -> datetime:
    return now - timedelta(days=settings.RETENTION_DAYS) + SPARED


def _refuse_closed(endpoint: Endpoint) -> None:
    if not endpoint.is_active:
        raise Conflict("The endpoint is disabled or deleted: nothing can be sent there.", code=CLOSED)


def _end(replay: Replay, status: Replay.Status, *, now: datetime, reason: str = "") -> None:
    replay.status, replay.stop_reason = status, reason
    replay.finished_at = replay.updated_at = now
    replay.save(update_fields=["status", "stop_reason", "finished_at", "updated_at"])


def _note(replay: Replay, action: str, endpoint: Endpoint, *, actor: str, now: datetime) -> None:
    audit.note(
        actor=actor,
        action=action,
        target=endpoint.public_id,
        merchant_id=replay.owner_id,
        detail={"replay": replay.public_id, "kind": replay.kind, "sent": replay.sent},
        now=now,
    )
