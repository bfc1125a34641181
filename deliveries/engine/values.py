"""What the engine passes from hand to hand: lanes it holds, deliveries it picked, results it will record."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from dispatcher import pace
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
    # Until when an ordered lane waits for its first delivery, and until when the rate limit allows nothing.
    retry_at: datetime | None
    paced_until: datetime | None
    # Whether its entries stand in order. Follows what the endpoint says once nothing is in the air.
    is_in_order: bool
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
    # Since when those who look on believe that it fails.
    reported_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether anything may be sent there at all."""
        return self.is_active and not self.is_deleted


@dataclass(slots=True)
class HeldLane:
    """A lane as this drain sees it: the row as last locked, and what is in the air."""

    row: LaneRow
    window: Window
    retry_at: datetime | None = None
    paced_until: datetime | None = None
    is_in_order: bool = False
    breaker: Breaker = CLOSED
    streak: Streak = NO_STREAK
    flying: set[UUID] = field(default_factory=set)
    # How many the last turn took from it, and when they had left.
    taken: int = 0
    sent_at: datetime | None = None
    is_full: bool = False
    # Whether it may only have a few in flight, because the drain carries so much.
    is_crowded: bool = False
    # Whether it was due, and the turn had picked all it may before it came to this lane.
    is_passed_over: bool = False

    @property
    def ceiling(self) -> int:
        return ceiling_of(max_in_flight=self.row.max_in_flight, is_ordered=self.row.is_ordered)

    @property
    def is_rearranging(self) -> bool:
        """Whether its entries do not stand yet as the endpoint wants them."""
        return self.is_in_order != self.row.is_ordered

    @property
    def room(self) -> int:
        """How many more may be sent now, were capacity unlimited."""
        if self.is_rearranging:
            return 0
        return max(0, min(self.window.size, self.ceiling) - len(self.flying))

    @property
    def not_before(self) -> datetime | None:
        """The latest of what holds the lane back."""
        reasons = (self.retry_at, self.paced_until, self.breaker.open_until)
        return max((moment for moment in reasons if moment is not None), default=None)

    @property
    def paced_as_sent(self) -> datetime | None:
        """Until when the rate limit allows nothing, counted from when the last slice had really left."""
        rate = self.row.rate_limit
        if rate is None or self.sent_at is None or not self.taken:
            return self.paced_until
        return max(filter(None, [self.paced_until, pace.after(None, sent=self.taken, rate=rate, at=self.sent_at)]))


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
    next_attempt_at: datetime | None = None
    # The span that published the event, where it is traced.
    traceparent: str | None = None

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

    is_bare: bool = False

    def bare(self) -> "Result":
        """The same result without what the receiver sent: Postgres would not store it."""
        outcome = Outcome(self.outcome.reason, self.outcome.status, detail="The answer could not be stored.")
        return replace(self, outcome=outcome, sent=Sent(self.sent.url, "", None), is_bare=True)
