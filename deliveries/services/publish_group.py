"""Single events that came at the same moment, written together: one statement, one commit, one ring for all of them.

Each stands and falls by itself, as if it had come alone. Whatever is not plain success is left to `publish_batch`,
which then says what is wrong: a caller's key that lives no more, an unknown name, a key that was used before, a schema
that is new to this process. Of such an event nothing has been written here.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import Error

from deliveries.doorbell import wake
from deliveries.services import payload_schemas
from deliveries.services.new_event import Accepted, NewEvent
from deliveries.services.publish import EVENT_ID_SCOPE, IDEMPOTENCY_LIFE, merchant_id_of, patterns_of
from deliveries.services.publish_checks import check_events
from deliveries.services.publish_sql import PUBLISH_GROUP
from deliveries.services.publish_watch import tell
from dispatcher.ids import Prefix, new_id, show
from dispatcher.window import INITIAL_SIZE
from subscriptions import kept_plans
from subscriptions.errors import Refusal
from subscriptions.killpoints import reached
from subscriptions.services import keys
from subscriptions.services.keys import KnownKey

logger = logging.getLogger(__name__)

Columns = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """An event and who wants it published. Its payload is JSON that `check_json` took."""

    event: NewEvent
    key: KnownKey


@dataclass(frozen=True, slots=True)
class _Row:
    """What the database said of one event; a row in the order of PUBLISH_GROUP."""

    position: int
    last_used_at: datetime | None
    is_type_known: bool
    merchant_id: UUID | None
    is_account_known: bool
    is_account_foreign: bool
    is_strict: bool
    needs_check: bool
    is_accepted: bool
    deliveries: int
    endpoints: list[UUID]


def publish_group(asked: Sequence[Asked], *, now: datetime) -> list[Accepted | None]:
    """Publish what can be published at once; None for an event that has to be published alone, or refused.

    Raises Django's database errors. A group of which the server said that it failed has written nothing; where the
    connection broke, nobody knows.
    """
    began = time.perf_counter()
    answers: list[Accepted | None] = [None] * len(asked)
    # Racing groups meet in the same order at the keys, and at merchants' new lanes, so that they do not deadlock.
    order = sorted((n for n, one in enumerate(asked) if _may_share(one.event)), key=lambda n: _lock_order(asked[n]))
    if not order:
        return answers
    ids = [new_id() for _ in order]
    rows = _insert([_columns(id_, asked[n], now=now) for id_, n in zip(ids, order, strict=True)], now=now)
    reached("publish.written")
    for row in rows:
        if row.is_accepted:
            event = asked[order[row.position - 1]].event
            public_id = event.id or show(Prefix.EVENT, ids[row.position - 1])
            answers[order[row.position - 1]] = Accepted(public_id, is_duplicate=False, deliveries=row.deliveries)
    _afterwards([asked[order[row.position - 1]] for row in rows], rows, now=now)
    done = [(one.event, answer) for one, answer in zip(asked, answers, strict=True) if answer]
    tell([event for event, _ in done], [answer for _, answer in done], time.perf_counter() - began)
    return answers


def _may_share(event: NewEvent) -> bool:
    """Two keys of one event are taken both or none; that needs a transaction of its own."""
    if event.id is not None and event.idempotency_key is not None:
        return False
    try:
        check_events([event], are_payloads_checked=True)
    except Refusal:
        return False
    return True


def _lock_order(asked: Asked) -> tuple[str, str, str]:
    event = asked.event
    if event.id is not None:
        return EVENT_ID_SCOPE, event.id, ""
    if event.idempotency_key is not None:
        return asked.key.actor, event.idempotency_key, ""
    return "", event.merchant or "", event.account or ""


def _columns(id_: UUID, asked: Asked, *, now: datetime) -> Columns:
    event = asked.event
    return (
        *(asked.key.id, asked.key.digest, id_, event.id, merchant_id_of(event.merchant), event.merchant, event.account),
        *(event.type, patterns_of(event.type), event.payload, event.occurred_at or now),
        payload_schemas.checked_tag(event.type, event.payload),
        *_key_columns(asked, now=now),
    )


def _key_columns(asked: Asked, *, now: datetime) -> Columns:
    event = asked.event
    if event.id is not None:
        expires_at = now + timedelta(days=settings.RETENTION_DAYS)
        return new_id(), EVENT_ID_SCOPE, event.id, event.digest(), expires_at
    if event.idempotency_key is not None:
        return new_id(), asked.key.actor, event.idempotency_key, event.digest(), now + IDEMPOTENCY_LIFE
    return None, None, None, None, None


def _insert(lines: Sequence[Columns], *, now: datetime) -> list[_Row]:
    columns = [list(column) for column in zip(*lines, strict=True)]
    return [_Row(*row) for row in kept_plans.fetch_all(PUBLISH_GROUP, [*columns, now, now, INITIAL_SIZE])]


def _afterwards(asked: Sequence[Asked], rows: Sequence[_Row], *, now: datetime) -> None:
    """After the commit, which was the statement's own."""
    payload_schemas.forget({one.event.type for one, row in zip(asked, rows, strict=True) if not row.is_strict})
    if endpoints := {endpoint for row in rows for endpoint in row.endpoints}:
        wake(endpoints)
    for key_id in {one.key.id for one, row in zip(asked, rows, strict=True) if keys.is_stale(row.last_used_at, now)}:
        try:
            keys.touch(key_id, now=now)
        except Error as error:
            # The events are there: nothing that comes after them may look as if they were not.
            logger.warning("a key's last use is not written down: %s", type(error).__name__)
