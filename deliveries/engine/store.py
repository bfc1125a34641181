"""The engine's hands on Postgres: one connection, one token, one transaction a turn."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from django.conf import settings
from django.db import connection as django_connection

from deliveries import id_ranges
from deliveries.engine import statements
from deliveries.engine.news import News, arrays
from deliveries.engine.values import HeldLane, LaneRow, Pick, Result
from dispatcher.breaker import Breaker
from dispatcher.ids import new_id
from dispatcher.streak import Streak

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=30)
LEASE_BEYOND_ATTEMPT = timedelta(seconds=20)
# A lease outlives the longest attempt (10 s, unless DELIVERY_TIMEOUT says more) and the wait for its group to be
# recorded by a wide margin: a slow endpoint must never be sent the same attempt twice. Every turn that touches a lane
# begins its lease anew.
FROZEN_AFTER = "5s"
# A drain that stops inside a turn holds row locks that publishers wait for; Postgres then ends its session.
SETTLE_ROWS = 5_000
# In all, however many lanes are closed: millions of deliveries are settled turn by turn, a few tens of milliseconds
# each.

DEAD_PEER = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}
# A database host that vanishes without a word is noticed within about ten seconds (the last number is milliseconds).
# Linux alone would take a quarter of an hour, and no drain would move meanwhile.

MOST_UNCOUNTED = 5
# A delivery that kills its worker must not do so for ever; five crashes in a row meet an innocent one rarely.


class Store:
    """Reads and writes lanes on a connection of its own, which lives as long as its process.

    Every method but `connect` and `close` may raise psycopg.OperationalError; the caller then calls `connect` again.
    """

    def __init__(self) -> None:
        self.token = new_id()
        self.lease = max(LEASE, timedelta(seconds=settings.DELIVERY_TIMEOUT) + LEASE_BEYOND_ATTEMPT)
        self._connection: psycopg.Connection[Any] | None = None

    def connect(self) -> None:
        self.close()
        params = dict(django_connection.get_connection_params())
        for name in ("context", "cursor_factory", "prepare_threshold"):
            params.pop(name, None)
        # Web requests give up soon on a lock or a slow statement; a turn must finish.
        params["options"] = (
            f"-c idle_in_transaction_session_timeout={FROZEN_AFTER} -c plan_cache_mode=force_custom_plan"
        )
        params = DEAD_PEER | params | {"autocommit": True, "application_name": "signet drain"}
        self._connection = psycopg.connect(**params)
        self._connection.prepare_threshold = 0

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def is_connected(self) -> bool:
        return self._connection is not None and not self._connection.closed

    def clock(self) -> datetime:
        """The database's time, which is the same for all hosts."""
        (found,) = self._fetch("SELECT clock_timestamp()", {})[0]
        return _utc(found)

    @contextmanager
    def turn(self) -> Iterator[None]:
        with self._open.transaction():
            yield

    @property
    def _open(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            raise psycopg.OperationalError("not connected")
        return self._connection

    def _fetch(self, sql: str, params: dict[str, Any]) -> list[Any]:
        return self._open.execute(sql, params, binary=True).fetchall()

    def record(self, results: Sequence[Result], *, lanes: Iterable[UUID]) -> set[UUID]:
        """Write a group of results, but for those of lanes that others hold by now. Returns the deliveries that have
        failed for good by it.

        `lanes` are all that the turn will touch: locked here, in order, they need not be waited for later.
        """
        rows = self._fetch(statements.RECORD, _result_arrays(results) | {"lanes": list(lanes), "token": self.token})
        return {delivery_id for (delivery_id,) in rows if delivery_id is not None}

    def lock_lanes(
        self,
        touched: Iterable[UUID],
        *,
        limit: int,
        may_be_suspect: bool,
        now: datetime,
        may_be_letters: bool = True,
    ) -> list[LaneRow]:
        """Lock lanes that are due, longest-waiting first, and those of ours that are named."""
        params = {
            "touched": list(touched),
            "token": self.token,
            "now": now,
            "limit": limit,
            "suspects": may_be_suspect,
            "letters": may_be_letters,
        }
        return [_lane_row(row) for row in self._fetch(statements.LOCK_LANES, params)]

    def interrupt(self, delivery_ids: Sequence[UUID], *, now: datetime) -> None:
        """Give each delivery that a dead drain had in the air an attempt whose outcome is unknown.

        One that keeps being there when its drain dies is set aside as held, where people see it.
        """
        self._open.execute(
            statements.INTERRUPT,
            {
                "attempt_ids": [new_id() for _ in delivery_ids],
                "delivery_ids": list(delivery_ids),
                "most": MOST_UNCOUNTED,
                "now": now,
                **id_ranges.of_all(delivery_ids).params,
            },
        )

    def settle(self, lanes: Sequence[UUID], *, flying: Sequence[UUID], now: datetime) -> None:
        """Hold what waits for a disabled endpoint, cancel what waits for a deleted one."""
        params = {"lanes": list(lanes), "flying": list(flying), "limit": SETTLE_ROWS}
        if taken := [delivery_id for (delivery_id,) in self._fetch(statements.TAKE_OUT, params)]:
            self._open.execute(statements.SETTLE, {"delivery_ids": taken, "now": now})

    def pick(
        self, rooms: dict[UUID, int], *, flying: Sequence[UUID], limit: int, most_bytes: int, now: datetime
    ) -> list[Pick]:
        """Up to so many due deliveries of each lane and `limit` in all, until their payloads make `most_bytes` or more;
        earlier lanes are served first."""
        params = {
            "lanes": list(rooms),
            "rooms": list(rooms.values()),
            "flying": list(flying),
            "limit": limit,
            "now": now,
        }
        entries = self._fetch(statements.PICK, params)
        return self._read(entries, most_bytes=most_bytes) if entries else []

    def _read(self, entries: Sequence[tuple[UUID, UUID, datetime, str]], *, most_bytes: int) -> list[Pick]:
        """The deliveries of these entries, with what is to be sent."""
        # Sizes are only looked at where the largest payloads would be too much: it takes a fifth longer.
        is_within = len(entries) * settings.PAYLOAD_MAX_BYTES <= most_bytes
        endpoint_ids, delivery_ids, due, triggers = map(list, zip(*entries, strict=True))
        params = {
            "endpoint_ids": endpoint_ids,
            "delivery_ids": delivery_ids,
            "due": due,
            "triggers": triggers,
            "most_bytes": most_bytes,
            **id_ranges.of_all(delivery_ids).params,
        }
        statement = statements.READ if is_within else statements.READ_WITHIN
        return [Pick(*row) for row in self._fetch(statement, params)]

    def arrange(self, lanes: Sequence[UUID]) -> bool:
        """Put what waits for a retry where its endpoint wants it: in its old place, or where its time comes. True when
        nothing is left to be moved."""
        (is_done,) = self._fetch(statements.ARRANGE, {"lanes": list(lanes), "limit": SETTLE_ROWS})[0]
        return bool(is_done)

    def save_lanes(self, lanes: Sequence[HeldLane], *, now: datetime) -> None:
        """Write back each lane: held while something is in the air, else released with its next due time."""
        flying = [(lane.row.endpoint_id, delivery_id) for lane in lanes for delivery_id in lane.flying]
        self._open.execute(
            statements.SAVE_LANES,
            {
                "token": self.token,
                "now": now,
                "lease_end": now + self.lease,
                "lanes": [lane.row.endpoint_id for lane in lanes],
                "windows": [lane.window.size for lane in lanes],
                "is_suspect": [lane.window.is_suspect for lane in lanes],
                "is_held": [bool(lane.flying) for lane in lanes],
                "is_full": [lane.is_full for lane in lanes],
                "is_passed_over": [lane.is_passed_over for lane in lanes],
                "half_started": [lane.breaker.half_started_at for lane in lanes],
                "attempts": [lane.breaker.attempts for lane in lanes],
                "failures": [lane.breaker.failures for lane in lanes],
                "earlier_attempts": [lane.breaker.earlier_attempts for lane in lanes],
                "earlier_failures": [lane.breaker.earlier_failures for lane in lanes],
                "open_s": [lane.breaker.open_s for lane in lanes],
                "open_until": [lane.breaker.open_until for lane in lanes],
                "failing_since": [lane.streak.failing_since for lane in lanes],
                "warned_at": [lane.streak.warned_at for lane in lanes],
                "retry_at": [lane.retry_at for lane in lanes],
                "paced_until": [lane.paced_until for lane in lanes],
                "is_ordered": [lane.is_in_order for lane in lanes],
                "flying_lanes": [endpoint_id for endpoint_id, _ in flying],
                "flying": [delivery_id for _, delivery_id in flying],
            },
        )

    def tell(self, news: Sequence[News], *, now: datetime) -> None:
        """Write down what those who look on shall hear."""
        self._open.execute(statements.TELL, arrays(news) | {"now": now})

    def open_versions(self, endpoint_ids: Iterable[UUID]) -> dict[UUID, int]:
        """The versions that those of these endpoints have now to which anything may be sent."""
        return dict(self._fetch(statements.OPEN_VERSIONS, {"endpoints": list(endpoint_ids)}))

    def next_due(self, *, until: datetime, now: datetime, may_be_letters: bool = True) -> datetime | None:
        """When the next free lane comes due, if that is before `until`."""
        params = {"until": until, "now": now, "letters": may_be_letters}
        (found,) = self._fetch(statements.NEXT_DUE, params)[0]
        return found and _utc(found)


def _lane_row(row: tuple[Any, ...]) -> LaneRow:
    *plain, half, attempts, failures, earlier_attempts, earlier_failures, open_s, until = row[:-3]
    failing_since, warned_at, reported_at = row[-3:]
    breaker = Breaker(half, attempts, failures, earlier_attempts, earlier_failures, open_s, until)
    return LaneRow(*(*plain, breaker, Streak(failing_since, warned_at), reported_at))


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


def _result_arrays(results: Sequence[Result]) -> dict[str, Any]:
    """The columns of RECORD, one array each."""
    outcomes = [result.outcome for result in results]
    phases = [outcome.phases for outcome in outcomes]
    return {
        "endpoint_ids": [result.pick.endpoint_id for result in results],
        "delivery_ids": [result.pick.delivery_id for result in results],
        "attempt_ids": [result.attempt_id for result in results],
        "numbers": [result.pick.number for result in results],
        "triggers": [result.pick.trigger for result in results],
        "statuses": [result.decision.status for result in results],
        "counted": [result.decision.is_counted for result in results],
        "next_at": [result.next_attempt_at for result in results],
        "urls": [result.sent.url for result in results],
        "request_headers": [result.sent.headers for result in results],
        "request_bodies": [result.sent.body for result in results],
        "reasons": [outcome.reason.value for outcome in outcomes],
        "response_statuses": [outcome.status for outcome in outcomes],
        "response_headers": [outcome.headers.replace("\0", "") for outcome in outcomes],
        "response_bodies": [outcome.body for outcome in outcomes],
        "truncated": [outcome.body_truncated for outcome in outcomes],
        "body_errors": [_short(outcome.body_error) for outcome in outcomes],
        "details": [_short(outcome.detail) for outcome in outcomes],
        "peers": [outcome.peer[:64] for outcome in outcomes],
        "dns": [phase.dns for phase in phases],
        "connect": [phase.connect for phase in phases],
        "tls": [phase.tls for phase in phases],
        "send": [phase.send for phase in phases],
        "wait": [phase.wait for phase in phases],
        "total": [phase.total for phase in phases],
        "started": [result.started_at for result in results],
        "finished": [result.finished_at for result in results],
    }


def _short(text: str) -> str:
    return text.replace("\0", "")[:255]
