"""The breaker of a lane: holds an endpoint's deliveries back while nearly everything sent there fails.

Source: the reliability design. In a window of five minutes at least ten attempts of which 70 % failed open it for 30 s,
which doubles up to ten minutes each time the one probe that is then sent fails as well. Who is held back uses up no
attempt.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from dispatcher.outcomes import UNCOUNTED, Reason

HALF_WINDOW = timedelta(seconds=150)
# Two halves are kept and the older one is dropped whole, so the window is between 2.5 and 5 minutes long: two pairs of
# numbers a lane instead of a row for each attempt.
ATTEMPTS_LEAST = 10
FAILED_PERCENT = 70
FIRST_OPEN_S = 30
LONGEST_OPEN_S = 600


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"


@dataclass(frozen=True, slots=True)
class Breaker:
    """How a lane's attempts went lately, and until when it is held back.

    `open_s` is how long it was opened for last; 0, with no `open_until`, when it is closed.
    """

    half_started_at: datetime | None = None
    attempts: int = 0
    failures: int = 0
    earlier_attempts: int = 0
    earlier_failures: int = 0
    open_s: int = 0
    open_until: datetime | None = None

    def state(self, *, now: datetime) -> State:
        if self.open_until is None:
            return State.CLOSED
        return State.OPEN if now < self.open_until else State.PROBING


@dataclass(frozen=True, slots=True)
class Tally:
    """A group's outcomes that say something about the receiver."""

    delivered: int = 0
    failed: int = 0


CLOSED = Breaker()


def tally(reasons: Iterable[Reason]) -> Tally:
    """What is our own fault is left out."""
    delivered = failed = 0
    for reason in reasons:
        if reason is Reason.DELIVERED:
            delivered += 1
        elif reason not in UNCOUNTED:
            failed += 1
    return Tally(delivered, failed)


def after(breaker: Breaker, group: Tally, *, now: datetime) -> Breaker:
    """The breaker after a group of the lane's attempts has finished.

    1. Open or probing: one delivery closes it, with a clean slate. A probe that failed opens it for twice as long;
       stragglers that fail while it is open change nothing.
    2. Closed: count the group in, and open when the window says so.
    """
    if breaker.open_until is not None:
        if group.delivered:
            return CLOSED
        if group.failed and now >= breaker.open_until:
            return _opened(min(breaker.open_s * 2, LONGEST_OPEN_S), now)
        return breaker
    if not group.delivered and not group.failed:
        return breaker
    counted = _counted(_shifted(breaker, now), group)
    attempts = counted.attempts + counted.earlier_attempts
    failures = counted.failures + counted.earlier_failures
    if attempts >= ATTEMPTS_LEAST and failures * 100 >= FAILED_PERCENT * attempts:
        return _opened(FIRST_OPEN_S, now)
    return counted


def _opened(seconds: int, now: datetime) -> Breaker:
    return Breaker(open_s=seconds, open_until=now + timedelta(seconds=seconds))


def _shifted(breaker: Breaker, now: datetime) -> Breaker:
    """The halves moved on to `now`."""
    if breaker.half_started_at is None or now >= breaker.half_started_at + 2 * HALF_WINDOW:
        return Breaker(half_started_at=now)
    if now < breaker.half_started_at + HALF_WINDOW:
        return breaker
    started_at = breaker.half_started_at + HALF_WINDOW
    return Breaker(started_at, earlier_attempts=breaker.attempts, earlier_failures=breaker.failures)


def _counted(breaker: Breaker, group: Tally) -> Breaker:
    attempts = breaker.attempts + group.delivered + group.failed
    return replace(breaker, attempts=attempts, failures=breaker.failures + group.failed)
