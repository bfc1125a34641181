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
    heard, before = breaker.tally(reasons), lane.breaker
    lane.window = window.after(lane.window, window.tally(reasons), ceiling=lane.ceiling)
    lane.breaker = breaker.after(before, heard, now=now)
    lane.streak = streak.after(lane.streak, heard, now=now)
    _hold_back(lane, before)
    verdict = streak.judge(lane.streak, heard, limit=disable_after, now=now)
    if verdict is streak.Verdict.WARN:
        lane.streak = streak.Streak(lane.streak.failing_since, is_warned=True)
    return verdict


def _hold_back(lane: HeldLane, before: breaker.Breaker) -> None:
    """An open breaker holds the whole lane back until its time, then lets one probe out. Once it closes, the window
    grows from that one: who comes back with a backlog is not run over by it."""
    open_until = lane.breaker.open_until
    if open_until is not None:
        lane.window = Window(1, lane.window.is_suspect)
        lane.not_before = max(lane.not_before or open_until, open_until)
    elif before.open_until is not None and lane.not_before == before.open_until:
        lane.not_before = None
