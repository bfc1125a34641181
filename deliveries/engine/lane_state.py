"""What a group of outcomes means for its lane: how much it may have in flight, and whether it is held back."""

from collections.abc import Collection
from datetime import datetime, timedelta

from deliveries.engine.values import HeldLane
from dispatcher import breaker, streak, window
from dispatcher.outcomes import Reason
from dispatcher.window import Window


def note_outcomes(
    lane: HeldLane, reasons: Collection[Reason], *, disable_after: timedelta, now: datetime
) -> streak.Verdict:
    """Bring the lane's window, breaker and streak up to date, and tell what follows for its endpoint."""
    heard = breaker.tally(reasons)
    lane.window = window.after(lane.window, window.tally(reasons), ceiling=lane.ceiling)
    lane.breaker = breaker.after(lane.breaker, heard, now=now)
    lane.streak = streak.after(lane.streak, heard, now=now)
    if lane.breaker.open_until is not None:
        # One probe at a time. Once it closes, the window grows from that one: who comes back with a backlog is not run
        # over by it.
        lane.window = Window(1, lane.window.is_suspect)
    verdict = streak.judge(lane.streak, heard, limit=disable_after, now=now)
    if verdict is streak.Verdict.WARN:
        lane.streak = streak.Streak(lane.streak.failing_since, warned_at=now)
    return verdict
