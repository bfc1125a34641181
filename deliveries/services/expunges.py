"""Expunges: the contents of an event, or of all events of an account, go out of the log for good; the log stays.

What goes: the payload, what was sent and what came back, header values, and files that were made of the log. What
stays: that there was an event, its type, account and times, what became of its deliveries, and the hash that protects
its idempotency key. Deliveries that still wait are cancelled.
"""

import time
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction

from deliveries import id_ranges
from deliveries.models import Event, Expunge
from deliveries.selectors import events
from deliveries.selectors.log import ID_SLACK
from deliveries.services import exports, expunge_sql, lanes
from dispatcher.ids import Prefix, first_id, show, time_of
from subscriptions.killpoints import reached
from subscriptions.models import Merchant
from subscriptions.services import audit

STEP_MOST = 50
# Events in one transaction: a fraction of a second, in which their lanes' rows are locked.
LOOK_MOST = 5_000
# Rows of the merchant's events that one step looks through for those.
WAITING_MOST = 1_000
# So many events may be on their way to receivers before the expunge waits for them.
SLICE_S = 0.5
# One expunge's share of a tick.
TICK_S = 5.0
RUNNING_MOST = 50
FIRST_ID = UUID(int=0)
CLOCK_SLACK = timedelta(minutes=15)
# Hosts' clocks differ: all that is there when it begins is meant, also what another host stamped a little later.


class _Owed(NamedTuple):
    """A delivery of an event whose contents go; a row of OWED."""

    id: UUID
    endpoint_id: UUID
    owner_id: UUID
    event_id: UUID


def expunge_event(*, event: str, actor: str, now: datetime) -> Expunge:
    """Take an event's contents away, at once unless it is just being sent: then as soon as that is over. `event` is
    its id, ours or the provider's. Raises NotFound. One that was expunged before is finished at once."""
    found = events.find(event, owner_id=None)
    expunge = _begin(found, actor=actor, now=now)
    if expunge.status == Expunge.Status.RUNNING:
        _step(expunge.id, now=now)
        expunge.refresh_from_db()
    return expunge


@transaction.atomic
def _begin(event: Event, *, actor: str, now: datetime) -> Expunge:
    expunge = Expunge(
        merchant_id=event.merchant_id,
        event_id=event.id,
        since=event.created_at,
        until=event.created_at,
        actor=actor,
        created_at=now,
        updated_at=now,
    )
    if event.expunged_at is None:
        expunge.waiting = [event.id]
    else:
        expunge.status, expunge.finished_at = Expunge.Status.FINISHED, now
    expunge.save(force_insert=True)
    _note("event.expunged", show(Prefix.EVENT, event.id), expunge, now=now)
    return expunge


@transaction.atomic
def expunge_account(*, merchant: Merchant, account: str, actor: str, now: datetime) -> Expunge:
    """Write down that the contents of all events of the merchant that name the account shall go; ticks do it.

    Events that are published later are not meant. The account need not be registered any more.
    """
    until = now + CLOCK_SLACK
    expunge = Expunge.objects.create(
        merchant_id=merchant.id,
        account=account,
        since=_oldest(merchant.id) or now,
        until=until,
        actor=actor,
        created_at=now,
        updated_at=now,
    )
    _note("account.expunged", merchant.public_id, expunge, now=now)
    return expunge


def _oldest(merchant_id: UUID) -> datetime | None:
    with connection.cursor() as cursor:
        cursor.execute(expunge_sql.FIRST_OF_MERCHANT, {"merchant": merchant_id})
        found = cursor.fetchone()
    return None if found is None else time_of(found[0])


def advance(*, clock: Callable[[], datetime]) -> int:
    """One tick: running expunges go on for a slice of time each. Returns how many events it expunged.

    One that dies loses nothing: the cursor moves with the rows that it stands for.
    """
    running = Expunge.objects.filter(status=Expunge.Status.RUNNING).order_by("updated_at")
    deadline, done = time.monotonic() + TICK_S, 0
    for expunge_id in running.values_list("id", flat=True)[:RUNNING_MOST]:
        done += _run_slice(expunge_id, clock)
        if time.monotonic() >= deadline:
            break
    return done


def _run_slice(expunge_id: UUID, clock: Callable[[], datetime]) -> int:
    deadline, done = time.monotonic() + SLICE_S, 0
    while time.monotonic() < deadline:
        count = _step(expunge_id, now=clock())
        if count is None:
            break
        done += count
    return done


@transaction.atomic
def _step(expunge_id: UUID, *, now: datetime) -> int | None:
    """One step; None when there is nothing to do now: it is over, held by another, or waits for receivers.

    1. Try again those that were on their way before.
    2. Look for more, unless too many wait, and expunge those that nobody is sending.
    """
    rows = Expunge.objects.select_for_update(no_key=True, skip_locked=True)
    expunge = rows.filter(id=expunge_id, status=Expunge.Status.RUNNING).first()
    if expunge is None:
        return None
    tried = expunge.waiting[:STEP_MOST]
    busy = _wash(expunge, tried, now=now)
    expunge.waiting = [*expunge.waiting[len(tried) :], *busy]
    found: list[UUID] = []
    is_end = True
    if expunge.account is not None:
        found, is_end = _look(expunge)
        expunge.waiting += _wash(expunge, found, now=now)
    expunge.updated_at = now
    if is_end and not expunge.waiting:
        expunge.status, expunge.finished_at = Expunge.Status.FINISHED, now
    expunge.save()
    reached("expunge.stepped")
    if len(busy) == len(tried) and (is_end or len(expunge.waiting) >= WAITING_MOST):
        return None
    return len(tried) - len(busy) + len(found)


def _look(expunge: Expunge) -> tuple[list[UUID], bool]:
    """The next events of the account, and whether they were the last; the cursor moves behind them."""
    if len(expunge.waiting) >= WAITING_MOST:
        return [], False
    params: dict[str, Any] = {
        "merchant": expunge.merchant_id,
        "account": expunge.account,
        "after": expunge.cursor or FIRST_ID,
        "before": first_id(expunge.until, slack=ID_SLACK),
        "look": LOOK_MOST,
        "most": STEP_MOST,
    }
    with connection.cursor() as cursor:
        cursor.execute(expunge_sql.FIND, params)
        found, last, is_end = cursor.fetchone()
    expunge.cursor = last or expunge.cursor
    return found, is_end


def _wash(expunge: Expunge, event_ids: Collection[UUID], *, now: datetime) -> list[UUID]:
    """Take away the contents of these events, and return those that are on their way to a receiver now.

    The lanes are locked first, in the order in which drains and replays lock them, then the events: whoever sends one
    has it in his lane's row, and nobody can begin to.
    """
    if not event_ids:
        return []
    within = id_ranges.of_all(event_ids).params
    endpoints = list({row.endpoint_id for row in _owed(event_ids)})
    lanes.need(endpoints)
    lanes.lock(endpoints)
    present = dict(_rows(expunge_sql.LOCK_EVENTS, {"events": list(event_ids)}))
    # Once more: with the events locked, no replay owes them to anybody else.
    owed = _owed(present)
    asked = {"deliveries": [row.id for row in owed], "endpoints": endpoints, "now": now, **within}
    busy = {event_id for (event_id,) in _rows(expunge_sql.BUSY, asked)}
    free = [event_id for event_id in present if event_id not in busy]
    if free:
        going = [row for row in owed if row.event_id not in busy]
        wanted = {"events": free, "deliveries": [row.id for row in going], "now": now}
        [(cancelled,)] = _rows(expunge_sql.WASH, wanted)
        expunge.cancelled += cancelled
        owners = {present[event_id] for event_id in free} | {row.owner_id for row in going}
        _withdraw_files(list(owners), now=now)
    expunge.expunged += len(free)
    return [event_id for event_id in present if event_id in busy]


def _owed(event_ids: Collection[UUID]) -> list[_Owed]:
    params = {"events": list(event_ids), **id_ranges.of_all(event_ids).params}
    return [_Owed(*row) for row in _rows(expunge_sql.OWED, params)]


def _rows(sql: str, params: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())


def _withdraw_files(owner_ids: list[UUID], *, now: datetime) -> None:
    """Once more after the commit, for those that are begun in between: they still read what is going."""
    exports.withdraw(owner_ids=owner_ids, now=now)
    transaction.on_commit(partial(exports.withdraw, owner_ids=owner_ids, now=now), robust=True)


def _note(action: str, target: str, expunge: Expunge, *, now: datetime) -> None:
    detail = {"expunge": expunge.public_id} | ({"account": expunge.account} if expunge.account else {})
    audit.note(
        actor=expunge.actor,
        action=action,
        target=target,
        merchant_id=expunge.merchant_id,
        detail=detail,
        now=now,
    )
