"""Reads who keeps deliveries moving, and whether they move at all. All ages are by the database's clock."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from deliveries.models import Heartbeat

BEAT_EVERY_S = 5.0
ALIVE_S = 3 * BEAT_EVERY_S + 1
# Two heartbeats may be late or lost; the third tells.

NODES = """
SELECT node, kind, pid, started_at, beat_at, progressed_at,
    EXTRACT(EPOCH FROM statement_timestamp() - beat_at)::float8,
    EXTRACT(EPOCH FROM statement_timestamp() - progressed_at)::float8
FROM deliveries_heartbeat ORDER BY kind, node
"""

OLDEST_DUE = """
SELECT EXTRACT(EPOCH FROM statement_timestamp() - due_at)::float8 FROM deliveries_lane
WHERE due_at <= statement_timestamp()
AND (not_before IS NULL OR not_before <= statement_timestamp())
AND (leased_until IS NULL OR leased_until <= statement_timestamp())
ORDER BY due_at LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Node:
    """A worker or beat as it last told of itself."""

    node: str
    kind: str
    pid: int
    started_at: datetime
    beat_at: datetime
    progressed_at: datetime
    silent_s: float
    # A drain's last turn, the end of the others' last task, beat's last tick.
    idle_s: float

    @property
    def is_alive(self) -> bool:
        return self.silent_s <= ALIVE_S


@dataclass(frozen=True, slots=True)
class Flow:
    """Whether deliveries move. `oldest_due_s`: how long the longest-waiting lane that nobody serves has been due, 0 if
    there is none. `idle_s`: how long ago any drain took a turn; None when none is known."""

    oldest_due_s: float
    idle_s: float | None

    def is_stalled(self, *, after_s: float) -> bool:
        """Something has been due for so long, and in all that time no drain took a turn.

        Both, because drains that are busy with more than they can carry let lanes wait, too: that is a backlog, and no
        restart makes it shorter.
        """
        return self.oldest_due_s > after_s and (self.idle_s is None or self.idle_s > after_s)


def nodes() -> list[Node]:
    """Every worker and beat that has been heard of within the hour, dead ones included."""
    with connection.cursor() as cursor:
        cursor.execute(NODES)
        return [Node(*row) for row in cursor.fetchall()]


def workers_alive(known: Iterable[Node]) -> int:
    """How many workers are there now, of either kind."""
    return sum(node.is_alive and node.kind != Heartbeat.Kind.BEAT for node in known)


def last_tick_s(known: Iterable[Node]) -> float | None:
    """Seconds since beat's last tick; None when no beat is known."""
    return min((node.idle_s for node in known if node.kind == Heartbeat.Kind.BEAT), default=None)


def flow() -> Flow:
    """As of now."""
    with connection.cursor() as cursor:
        cursor.execute(OLDEST_DUE)
        due = cursor.fetchone()
    drains = [node.idle_s for node in nodes() if node.kind == Heartbeat.Kind.DRAIN]
    return Flow(due[0] if due else 0.0, min(drains, default=None))
