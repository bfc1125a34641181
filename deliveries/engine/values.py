"""What the engine passes from hand to hand: lanes it holds, deliveries it picked, results it will record."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from dispatcher.breaker import CLOSED, Breaker
from dispatcher.outcomes import Outcome
from dispatcher.retry import Decision
from dispatcher.streak import NONE as NO_STREAK
from dispatcher.streak import Streak
from dispatcher.window import Window, ceiling_of


@dataclass(frozen=True, slots=True)
class LaneRow:
    """A lane that a turn has locked, with what its endpoint says now."""

    endpoint_id: UUID
    lease_token: UUID | None
    in_flight: list[UUID]
    window: int
    is_suspect: bool
    not_before: datetime | None
    version: int
    is_active: bool
    is_deleted: bool
    max_in_flight: int
    is_ordered: bool
    rate_limit: int | None
    # Whether people get what is sent there: the carrier of letters has far less room than the HTTP client.
    is_letter: bool
    breaker: Breaker = CLOSED
    streak: Streak = NO_STREAK

    @property
    def is_open(self) -> bool:
        """Whether anything may be sent there at all."""
        return self.is_active and not self.is_deleted


@dataclass(slots=True)
class HeldLane:
    """A lane as this drain sees it: the row as last locked, and what is in the air."""

    row: LaneRow
    window: Window
    not_before: datetime | None
    breaker: Breaker = CLOSED
    streak: Streak = NO_STREAK
    flying: set[UUID] = field(default_factory=set)
    is_full: bool = False
    # Whether it was due, and the turn had picked all it may before it came to this lane.
    is_passed_over: bool = False

    @property
    def ceiling(self) -> int:
        return ceiling_of(max_in_flight=self.row.max_in_flight, is_ordered=self.row.is_ordered)

    @property
    def room(self) -> int:
        """How many more may be sent now, were capacity unlimited."""
        return max(0, min(self.window.size, self.ceiling) - len(self.flying))


@dataclass(frozen=True, slots=True)
class Pick:
    """A delivery taken from its lane to be sent now."""

    endpoint_id: UUID
    delivery_id: UUID
    due_at: datetime
    trigger: str
    attempts_made: int
    attempts_counted: int
    attempts_uncounted: int
    event_id: UUID
    external_id: str | None
    event_type: str
    account: str | None
    payload: bytes
    occurred_at: datetime
    merchant_id: UUID
    is_live: bool

    @property
    def number(self) -> int:
        """The ordinal of the attempt that this pick leads to."""
        return self.attempts_made + 1


@dataclass(frozen=True, slots=True)
class Sent:
    """What went out, for the log. `body` is None when it was the event's payload itself."""

    url: str
    headers: str
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Result:
    """One finished attempt and what follows from it."""

    attempt_id: UUID
    pick: Pick
    sent: Sent
    outcome: Outcome
    decision: Decision
    started_at: datetime
    finished_at: datetime
    next_attempt_at: datetime | None
    # Where the entry waits: an ordered lane keeps the place of a delivery that failed, and waits as a whole.
    entry_due_at: datetime

    is_bare: bool = False

    def bare(self) -> "Result":
        """The same result without what the receiver sent: Postgres would not store it."""
        outcome = Outcome(self.outcome.reason, self.outcome.status, detail="The answer could not be stored.")
        return replace(self, outcome=outcome, sent=Sent(self.sent.url, "", None), is_bare=True)
