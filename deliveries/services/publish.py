"""Publishing: an event and all that is owed for it, written at once or not at all."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from deliveries import id_ranges, tracing
from deliveries.doorbell import wake
from deliveries.models import Event, IdempotencyKey
from deliveries.services import payload_schemas
from deliveries.services.new_event import Accepted, NewEvent
from deliveries.services.publish_checks import check_events
from deliveries.services.publish_sql import FIND_HELD, FIND_KEYS, INSERT_EVENTS, PUBLISH_ONE
from deliveries.services.publish_watch import watched
from dispatcher.ids import InvalidId, Prefix, new_id, parse, show
from dispatcher.window import INITIAL_SIZE
from subscriptions import kept_plans
from subscriptions.errors import Conflict, FieldError, Invalid
from subscriptions.killpoints import reached
from subscriptions.services.shapes import MOST_FAULTS

IDEMPOTENCY_LIFE = timedelta(hours=24)
# As api.md promises. The ids that providers choose are kept as long as the events themselves.
MOST_ROUNDS = 5
# A second one for an expired key or a schema that is new to the process; more only when they change under our hands.
EVENT_ID_SCOPE = "event-id"
PYTHON_SCOPE = "python"


@dataclass(frozen=True, slots=True)
class _Key:
    scope: str
    key: str
    digest: bytes
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class _Draft:
    """An event with its place in the batch, the id it will have and the keys that must be free for it; `is_known` when
    one was found taken, so that it must not become an event. `checked_tag` is the schema's that the payload fits."""

    position: int
    event: NewEvent
    id: UUID
    keys: tuple[_Key, ...]
    is_known: bool = False
    checked_tag: UUID | None = None

    @property
    def public_id(self) -> str:
        return self.event.id or show(Prefix.EVENT, self.id)


@dataclass(frozen=True, slots=True)
class _Row:
    """What the database said of one draft."""

    is_type_known: bool
    merchant_id: UUID | None
    is_account_known: bool
    is_account_foreign: bool
    is_strict: bool
    needs_check: bool
    is_accepted: bool
    deliveries: int
    endpoints: list[UUID]


class _KeyExpired(Exception):
    """A key that was taken has run out meanwhile: it has to go before the events can be published."""


class _CheckNeeded(Exception):
    """Nothing was written: the payloads of these drafts were not checked with the schemas that their types have now."""

    def __init__(self, drafts: list[_Draft]) -> None:
        super().__init__()
        self.drafts = drafts


def publish(
    type: str,  # noqa: A002 - the word of the API
    payload: object,
    *,
    merchant: str | None = None,
    account: str | None = None,
    id: str | None = None,  # noqa: A002 - the word of the API
    occurred_at: datetime | None = None,
    idempotency_key: str | None = None,
    now: datetime | None = None,
) -> Accepted:
    """Publish one event from Python; joins the caller's transaction.

    `payload` is JSON text as `bytes`, sent exactly so, or any value that `json.dumps` takes. Raises Invalid, Conflict
    or TooLarge, and then nothing is stored.
    """
    text = payload if isinstance(payload, bytes) else _json_text(payload)
    event = NewEvent(type, text, merchant, account, id, occurred_at, idempotency_key)
    return publish_batch([event], scope=PYTHON_SCOPE, now=now or datetime.now(UTC))[0]


def _json_text(payload: object) -> bytes:
    try:
        return json.dumps(payload, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Invalid(FieldError("/payload", "lone_surrogate", "The payload holds half of a character.")) from None


def publish_batch(
    events: Sequence[NewEvent], *, scope: str, now: datetime, are_payloads_checked: bool = False
) -> list[Accepted]:
    """Publish up to 1,000 events, all or none, and ring for their lanes once they are committed.

    1. Check what can be checked without the database; all faults are told at once, each with its index.
    2. One statement resolves merchants, accounts and types and, if all are known, writes events, deliveries, lane
       entries and idempotency keys. One unknown name and it writes nothing.
       So it does when a strict type has another schema than its payload was checked with; then the schema is read,
       and all begins anew. A new schema is in force with the next event, in every process.
    3. An event whose key was taken is a duplicate: it is answered with the first one's id, or refused when the request
       differs. It is not checked again.
    """
    return watched(
        events, lambda: _publish_all(events, scope=scope, now=now, are_payloads_checked=are_payloads_checked)
    )


def _publish_all(
    events: Sequence[NewEvent], *, scope: str, now: datetime, are_payloads_checked: bool
) -> list[Accepted]:
    check_events(events, are_payloads_checked=are_payloads_checked)
    drafts = [_draft(position, event, scope=scope, now=now) for position, event in enumerate(events)]
    for _ in range(MOST_ROUNDS):
        try:
            return _publish_drafts(drafts, now=now)
        except _KeyExpired:
            _drop_expired_keys(drafts, now=now)
            drafts = [replace(draft, is_known=False) for draft in drafts]
        except _CheckNeeded as needed:
            known = _known_ids(needed.drafts, now=now)
            tags = _check_payloads([draft for draft in needed.drafts if draft.id not in known])
            drafts = [
                replace(draft, is_known=draft.id in known, checked_tag=tags.get(draft.id, draft.checked_tag))
                for draft in drafts
            ]
    raise Conflict("The schemas of these types keep changing. Try again.", code="try_again")


def _draft(position: int, event: NewEvent, *, scope: str, now: datetime) -> _Draft:
    if event.idempotency_key is None and event.id is None:
        return _Draft(position, event, new_id(), ())
    digest = event.digest()
    keys = []
    if event.idempotency_key is not None:
        keys.append(_Key(scope, event.idempotency_key, digest, now + IDEMPOTENCY_LIFE))
    if event.id is not None:
        keys.append(_Key(EVENT_ID_SCOPE, event.id, digest, now + timedelta(days=settings.RETENTION_DAYS)))
    return _Draft(position, event, new_id(), tuple(keys))


def _publish_drafts(drafts: list[_Draft], *, now: datetime) -> list[Accepted]:
    first_of = _first_with_same_keys(drafts)
    unique = [draft for position, draft in enumerate(drafts) if first_of[position] == position]
    # Without keys the one statement is its own transaction. With keys a later look at them may refuse the whole.
    # Where it is traced, a second statement says so.
    if any(draft.keys for draft in drafts) or tracing.current():
        with transaction.atomic():
            answers = _store(unique, now=now)
    else:
        answers = _store(unique, now=now)
    by_first = dict(zip(sorted(set(first_of)), answers, strict=True))
    return [
        by_first[first] if first == position else replace(by_first[first], is_duplicate=True)
        for position, first in enumerate(first_of)
    ]


def _known_ids(drafts: list[_Draft], *, now: datetime) -> set[UUID]:
    """The drafts whose keys are taken: duplicates, checked when they came first, by the schema of that time."""
    keys = [key for draft in drafts for key in draft.keys]
    if not keys:
        return set()
    taken = {place for place, holder in _find_holders(keys).items() if holder.expires_at > now}
    return {draft.id for draft in drafts if any((key.scope, key.key) in taken for key in draft.keys)}


def _check_payloads(drafts: list[_Draft]) -> dict[UUID, UUID]:
    """Learn the schemas as they are now, and return their tags by draft. Raises Invalid for payloads that do not
    fit."""
    known = payload_schemas.learn({draft.event.type for draft in drafts})
    errors: list[FieldError] = []
    for draft in drafts:
        if draft.event.type in known and len(errors) < MOST_FAULTS:
            found = payload_schemas.faults(known[draft.event.type], draft.event.payload)
            errors += [replace(one, pointer=f"/events/{draft.position}/payload{one.pointer}") for one in found]
    if errors:
        raise Invalid(*errors[:MOST_FAULTS])
    return {draft.id: known[draft.event.type].tag for draft in drafts if draft.event.type in known}


def _first_with_same_keys(drafts: list[_Draft]) -> list[int]:
    """For each draft the position of the first one in the batch with the same key; its own if there is none."""
    seen: dict[tuple[str, str], int] = {}
    firsts = []
    for position, draft in enumerate(drafts):
        first = next((seen[k.scope, k.key] for k in draft.keys if (k.scope, k.key) in seen), position)
        if first != position and drafts[first].keys[0].digest != draft.keys[0].digest:
            raise _reused(position)
        for key in draft.keys:
            seen.setdefault((key.scope, key.key), first)
        firsts.append(first)
    return firsts


def _reused(position: int) -> Conflict:
    return Conflict(
        f"Event {position}: This idempotency key or id was used before with a different request.",
        code="idempotency_key_reused",
    )


def _store(drafts: list[_Draft], *, now: datetime) -> list[Accepted]:
    rows = _insert(drafts, now=now)
    reached("publish.written")
    _refuse_unknown(drafts, rows)
    if needed := [draft for draft, row in zip(drafts, rows, strict=True) if row.needs_check]:
        raise _CheckNeeded(needed)
    payload_schemas.forget({draft.event.type for draft, row in zip(drafts, rows, strict=True) if not row.is_strict})
    if traceparent := tracing.current():
        Event.objects.filter(id__in=[draft.id for draft in drafts]).update(traceparent=traceparent)
    endpoints = {endpoint for row in rows for endpoint in row.endpoints}
    if endpoints:
        transaction.on_commit(lambda: wake(endpoints))
    answers = [
        Accepted(draft.public_id, is_duplicate=False, deliveries=row.deliveries)
        for draft, row in zip(drafts, rows, strict=True)
    ]
    taken = [position for position, row in enumerate(rows) if not row.is_accepted]
    if taken:
        for position, answer in zip(taken, _earlier(drafts, taken, now=now), strict=True):
            answers[position] = answer
    return answers


def _insert(drafts: list[_Draft], *, now: datetime) -> list[_Row]:
    return [_insert_one(drafts[0], now=now)] if len(drafts) == 1 else _insert_batch(drafts, now=now)


def _insert_one(draft: _Draft, *, now: datetime) -> _Row:
    """As a batch of one, without the planning, which takes three times as long as all the rest."""
    event, keys = draft.event, draft.keys
    row = kept_plans.fetch_one(
        PUBLISH_ONE,
        (
            *(now, INITIAL_SIZE, draft.id, event.id, merchant_id_of(event.merchant), event.merchant, event.account),
            *(event.type, patterns_of(event.type), event.payload, event.occurred_at or now),
            draft.checked_tag or payload_schemas.checked_tag(event.type, event.payload),
            *(draft.is_known, [new_id() for _ in keys], [key.scope for key in keys], [key.key for key in keys]),
            *([key.digest for key in keys], [key.expires_at for key in keys]),
        ),
    )
    return _Row(*cast("tuple[Any, ...]", row))


def _insert_batch(drafts: list[_Draft], *, now: datetime) -> list[_Row]:
    keys = [(draft.id, key) for draft in drafts for key in draft.keys]
    with connection.cursor() as cursor:
        cursor.execute(
            INSERT_EVENTS,
            {
                "now": now,
                "window": INITIAL_SIZE,
                "ids": [draft.id for draft in drafts],
                "external_ids": [draft.event.id for draft in drafts],
                "merchant_ids": [merchant_id_of(draft.event.merchant) for draft in drafts],
                "merchants": [draft.event.merchant for draft in drafts],
                "accounts": [draft.event.account for draft in drafts],
                "types": [draft.event.type for draft in drafts],
                "patterns": [patterns_of(draft.event.type) for draft in drafts],
                "payloads": [draft.event.payload for draft in drafts],
                "occurred": [draft.event.occurred_at or now for draft in drafts],
                "checked_tags": [
                    draft.checked_tag or payload_schemas.checked_tag(draft.event.type, draft.event.payload)
                    for draft in drafts
                ],
                "is_known": [draft.is_known for draft in drafts],
                "key_ids": [new_id() for _ in keys],
                "key_events": [event_id for event_id, _ in keys],
                "key_scopes": [key.scope for _, key in keys],
                "keys": [key.key for _, key in keys],
                "key_digests": [key.digest for _, key in keys],
                "key_expiries": [key.expires_at for _, key in keys],
            },
        )
        return [_Row(*row) for row in cursor.fetchall()]


def merchant_id_of(text: str | None) -> UUID | None:
    try:
        return parse(Prefix.MERCHANT, text) if text else None
    except InvalidId:
        return None


def patterns_of(event_type: str) -> str:
    """All filters that would let the type through, in one text: `a.b.c` → `a.b.c a.* a.b.*`."""
    groups = event_type.split(".")
    return " ".join([event_type, *(".".join(groups[:count]) + ".*" for count in range(1, len(groups)))])


def _refuse_unknown(drafts: list[_Draft], rows: list[_Row]) -> None:
    errors = [
        FieldError(f"/events/{draft.position}/{field}", code, text)
        for draft, row in zip(drafts, rows, strict=True)
        for field, code, text in _unknown(draft.event, row)
    ]
    if errors:
        raise Invalid(*errors)


def _unknown(event: NewEvent, row: _Row) -> Iterator[tuple[str, str, str]]:
    if not row.is_type_known:
        yield "type", "unknown_event_type", "No such event type."
    if event.merchant is not None and row.merchant_id is None:
        yield "merchant", "unknown_merchant", "No such merchant."
    if not row.is_account_known:
        yield "account", "unknown_account", "No such account."
    elif row.is_account_foreign:
        yield "account", "account_of_another_merchant", "Another merchant's account."


def _earlier(drafts: list[_Draft], positions: list[int], *, now: datetime) -> list[Accepted]:
    """The answers that the holders of the taken keys got."""
    keys = [key for position in positions for key in drafts[position].keys]
    found = _find_holders(keys)
    # Expired, or gone since: somebody else dropped it for the same reason.
    if len(found) < len({(key.scope, key.key) for key in keys}) or any(one.expires_at <= now for one in found.values()):
        raise _KeyExpired
    answers = []
    for position in positions:
        draft = drafts[position]
        holders = [
            (key, found[key.scope, key.key]) for key in draft.keys if found[key.scope, key.key].event_id != draft.id
        ]
        if any(holder.digest != key.digest for key, holder in holders):
            raise _reused(draft.position)
        if not holders:  # The key was there when the payload needed no check, and went before it could be taken.
            raise _KeyExpired
        first = holders[0][1]
        answers.append(Accepted(first.public_id, is_duplicate=True, deliveries=first.deliveries))
        _hand_over_keys(draft.id, first.event_id)
    return answers


@dataclass(frozen=True, slots=True)
class _Holder:
    event_id: UUID
    digest: bytes
    expires_at: datetime
    public_id: str
    deliveries: int


def _find_holders(keys: list[_Key]) -> dict[tuple[str, str], _Holder]:
    with connection.cursor() as cursor:
        cursor.execute(FIND_KEYS, [[key.scope for key in keys], [key.key for key in keys]])
        rows = cursor.fetchall()
        told = _told_of({event_id for _, _, event_id, _, _ in rows})
        return {
            (scope, key): _Holder(event_id, bytes(digest), expires_at, *told[event_id])
            for scope, key, event_id, digest, expires_at in rows
        }


def _told_of(event_ids: set[UUID]) -> dict[UUID, tuple[str, int]]:
    """The public ids of events, and how many deliveries each has."""
    if not event_ids:
        return {}
    events = sorted(event_ids)
    ranges = [id_ranges.of_event(event_id) for event_id in events]
    params = {"events": events, "lows": [one.low for one in ranges], "highs": [one.high for one in ranges]}
    with connection.cursor() as cursor:
        cursor.execute(FIND_HELD, params | id_ranges.of_all(events).params)
        return {
            event_id: (external_id or show(Prefix.EVENT, event_id), count) for event_id, external_id, count in cursor
        }


def _hand_over_keys(loser: UUID, holder: UUID) -> None:
    """An event with two keys may have found only one of them taken; the other now leads to the same event."""
    IdempotencyKey.objects.filter(event_id=loser).update(event_id=holder)


def _drop_expired_keys(drafts: list[_Draft], *, now: datetime) -> None:
    for key in [key for draft in drafts for key in draft.keys]:
        IdempotencyKey.objects.filter(scope=key.scope, key=key.key, expires_at__lte=now).delete()
